"""What tuning a small encoder brings on a CPU, and costs: python -m benchmarks.tuned_encoder --folds 1

The pretrained stream alone (`train.model: wav2vec`), on folds of speakers as benchmarks.unseen_speakers: frozen, with
its last layer tuned, and with low-rank adapters (LoRA, rank 8) in queries and values of every computed layer. It trains
on the original and a noisy variant, and is tested on clean speech and on speech in held-out noise. Run in a workspace
with `preset: pretrained` that has run up to `validate`; LoRA needs the package peft.
"""

import argparse
import time
from typing import Any

import numpy as np
import torch
from sklearn.metrics import recall_score

from benchmarks.unseen_speakers import choices, ours
from benchmarks.unseen_speakers.folds import Fold, of_rows
from benchmarks.unseen_speakers.sound import Hearing, Sound
from ser_ops.config.params import Params, load_params
from ser_ops.emotions import class_index
from ser_ops.evaluation.predictions import CLEAN, Condition
from ser_ops.evaluation.robustness import Panel
from ser_ops.models import architectures
from ser_ops.models.base import EmotionModel
from ser_ops.seeds import derive_seed
from ser_ops.training.loop import fit

WAYS = {"frozen": {}, "last layer": {"trainable": "partly", "tuned_layers": 1},
        "LoRA": {"trainable": "partly", "tuned_layers": 0}}
MODEL = "wav2vec"


def add_adapters(network: EmotionModel) -> None:
    """Low-rank adapters in the encoder's queries and values; they alone are trained of it."""
    from peft import LoraConfig, inject_adapter_in_model
    backbone: Any = network.get_submodule("backbone")
    inject_adapter_in_model(LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]), backbone.network)
    for name, parameter in backbone.network.named_parameters():
        parameter.requires_grad_("lora_" in name)


def settings_of(params: Params, way: str) -> Params:
    """The settings of one way: two variants, and what of the encoder is trained."""
    return params.model_copy(update={
        "augment": params.augment.model_copy(update={"variants": ("original", "noisy")}),
        "wav2vec": params.wav2vec.model_copy(update=WAYS[way])})


def trained(params: Params, way: str, fold: Fold, epochs: int) -> tuple[EmotionModel, Sound]:
    """The model of one way after training on all speakers of a fold who are not tested."""
    sound = Sound(params)
    heard = ours.ModelInput(sound, MODEL, params.paths.work / "benchmarks" / "heard")
    settings = params.train.training().model_copy(update={"keep": "last", "epochs": epochs, "patience": epochs})
    speakers = (*fold.train, *fold.validation)
    network = architectures.build(MODEL, params.chosen, heard.standardisation(heard.examples(speakers, "train")),
                                  derive_seed(settings.seed, "model"))
    if way == "LoRA":
        add_adapters(network)
    rows = [heard.with_states(network, speakers, "train"), heard.with_states(network, fold.validation, "validation")]
    fit(network, rows[0], rows[1], settings, ours.CPU, what=f"{way}, fold {fold.number}")
    return network.eval(), sound


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=int, nargs="+", default=[1])
    parser.add_argument("--epochs", type=int, default=7)
    given, chosen = parser.parse_args(), choices.load()
    torch.set_num_threads(1)
    params = load_params()
    conditions = {"clean": CLEAN} | {f"{noise} at {intensity}": Condition(noise, intensity, chosen.grid_seed)
                                     for noise in ("children", "white") for intensity in (0.25, 0.75)}
    print(f"| way | fold | {' | '.join(conditions)} | weights trained | processor seconds of training |")
    print(f"| --- | --- |{' --- |' * (len(conditions) + 2)}")
    for way in WAYS:
        for fold in of_rows(Sound(params).rows, chosen.folds, chosen.validation_speakers):
            if fold.number not in given.folds:
                continue
            began = time.process_time()
            network, sound = trained(settings_of(params, way), way, fold, given.epochs)
            seconds = time.process_time() - began
            panel = Panel({way: (network, ours.card(MODEL, sound))}, ours.CPU, params.evaluate.batch_size)
            rows = [row for row in sound.rows if row.speaker in fold.test]
            truth = np.array([class_index(row.emotion) for row in rows])
            answers = [ours.probabilities(panel, sound, rows, Hearing("test", condition, chosen.grid_seed))[0].argmax(1)
                       for condition in conditions.values()]
            figures = [recall_score(truth, answer, average="macro") for answer in answers]
            weights = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
            print(f"| {way} | {fold.number} | {' | '.join(f'{figure:.3f}' for figure in figures)} | {weights:,} | "
                  f"{seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
