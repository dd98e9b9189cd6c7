"""Sections of params.yaml about training: the loop, the search of its settings, and the ablations."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ser_ops.config.section import Count, CountOr0, ModelName, NotNegative, Positive, Rate, Section, Seed, Share


class Training(Section):
    """The settings of the training loop."""

    seed: Seed = Field(description="of weights, order, dropout and mixup")
    epochs: Count = Field(description="each goes once over every variant of every utterance")
    patience: Count = Field(
        description="epochs without a better validation UAR (the mean of clean and noisy) before training stops")
    batch_size: Annotated[int, Field(ge=2)] = Field(description="rows, over all processes together")
    accumulate: Count = Field(description="parts that a batch is split into, to save memory")
    rows_per_speaker: Count | None = Field(
        default=None, description="most rows of one speaker in an epoch, each time others, so that a corpus of two "
                                  "speakers is not heard most; null: all")
    length_buckets: Count = Field(description="lengths that batches are sorted by and cut to; 1: the whole window")
    learning_rate: Positive = Field(description="of what is trained from random weights")
    backbone_learning_rate: Positive = Field(description="of the backbone (Wav2Vec 2.0, ViT, BEiT)")
    weight_decay: NotNegative = Field(description="of AdamW")
    warmup: Rate = Field(description="share of all steps in which the learning rate rises")
    label_smoothing: Rate = Field(description="of the cross-entropy")
    mixup: NotNegative = Field(description="parameter of the Beta distribution; 0: no mixup")
    mixup_share: Share = Field(description="share of all batches that are mixed")
    class_weights: bool = Field(description="whether rare classes weigh more in the loss")
    gradient_clip: Positive = Field(description="largest norm of all gradients")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        description="auto: bfloat16 on a GPU or CPU with instructions for it")
    keep: Literal["best", "last"] = Field(
        description="best: the epoch with the highest validation UAR; last: all epochs, and the last one")


class Train(Training):
    """How the main model is trained; the best values that tune found, and a preset's, go over it."""

    model: ModelName = Field(
        description="fusion (D), concat (C), wav2vec (B), spectral (A); cnn, lstm, cnn_lstm, vit, beit")

    def training(self) -> Training:
        """The settings of the loop, without the model's name."""
        return Training(**self.model_dump(exclude={"model"}))


class Range(Section):
    """A range that a setting is searched in."""

    low: float = Field(description="lowest value")
    high: float = Field(description="highest value")
    log: bool = Field(default=False, description="whether it is searched on a logarithmic scale")


class Choices(Section):
    """Values that a setting is chosen of."""

    choices: tuple[float | int | bool | str, ...] = Field(description="the values")


class Tune(Section):
    """The search of training settings before training."""

    trials: CountOr0 = Field(description="0: train as section train says")
    needs_gpu: bool = Field(
        default=False, description="whether a machine without a GPU trains as section train says, without a search")
    seed: Seed = Field(description="of the search")
    startup_trials: CountOr0 = Field(description="before pruning and modelling begin")
    warmup_epochs: CountOr0 = Field(description="of a trial before it may be pruned")
    together: Count = Field(description="trials asked for at once, a core each; part of the result")
    trial: Training = Field(description="what a trial trains by: laid over section train of params.yaml")
    space: dict[str, Range | Choices] = Field(
        description="training settings that are searched: {low, high, log} or {choices}")

    @model_validator(mode="after")
    def _known_settings(self) -> "Tune":
        for name, values in self.space.items():
            if name not in Training.model_fields:
                raise ValueError(f"space names {name!r}, which is no training setting: choose one of "
                                 f"{', '.join(sorted(Training.model_fields))}")
            if isinstance(values, Range) and (values.low > values.high or (values.log and values.low <= 0)):
                raise ValueError(f"space.{name}: low must not exceed high, and be above 0 where log is true")
        return self


class Ablations(Section):
    """Models that are trained beside the main one."""

    models: tuple[ModelName, ...] = Field(description="rows A, B and C of paper 1's table VI")
    shuffled: CountOr0 = Field(description="models trained on shuffled labels, which show what chance reaches")
    shuffled_epochs: Count = Field(description="of each of them")
    shuffled_seed: Seed = Field(description="of the shuffled labels")
