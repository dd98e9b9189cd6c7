"""reproduction/params.yaml as strict frozen models: what the reproductions train beside the main model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ser_ops.config.params import load_as
from ser_ops.config.section import Count, ModelName, Overrides, Section, Seed
from ser_ops.config.training import Training
from ser_ops.stages import run

PATH = Path("reproduction/params.yaml")
TrainedOn = Literal["original", "all"]      # of each utterance; a folder of work/papers holds their rows


class Comparison(Section):
    """Models that are trained several times on different data; `train` goes over section train of params.yaml.

    `variants`: of each training utterance, itself alone or all of section augment.
    """

    models: Annotated[tuple[ModelName, ...], Field(min_length=1)]
    variants: TrainedOn
    train: Overrides

    @model_validator(mode="after")
    def _known_settings(self) -> "Comparison":
        _check_overrides({"train": self.train})
        return self


class CrossValidation(Section):
    """Paper 2's folds; each model's settings go over `train`, and these over section train of params.yaml.

    `count`: of folds, or fewer where fewer speakers or words are there to hold out. `protocols`: what is held out.
    """

    count: Annotated[int, Field(ge=2)]
    protocols: Annotated[tuple[Literal["random", "word", "speaker"], ...], Field(min_length=1)]
    variants: TrainedOn
    train: Overrides
    models: Annotated[dict[ModelName, Overrides], Field(min_length=1)]
    explained: ModelName
    per_class: Count

    @model_validator(mode="after")
    def _known_settings(self) -> "CrossValidation":
        _check_overrides({"train": self.train} | {f"models.{name}": values for name, values in self.models.items()})
        if self.explained not in self.models:
            raise ValueError(f"explained is {self.explained!r}, which is not among its models")
        return self


class Settings(Section):
    """All of reproduction/params.yaml."""

    seed: Seed
    corpora: Comparison
    splits: Comparison
    folds: CrossValidation


def load_settings(path: Path = PATH) -> Settings:
    """Read and check reproduction/params.yaml.

    Raises UserError that names the file, the key, the value and what is allowed.
    """
    return load_as(Settings, path)


def _check_overrides(sections: Mapping[str, Overrides]) -> None:
    for section, values in sections.items():
        for name in values:
            if name not in Training.model_fields:
                raise ValueError(f"{section} names {name!r}, which is no training setting: choose one of "
                                 f"{', '.join(sorted(Training.model_fields))}")


def main() -> None:
    """Say what is wrong with reproduction/params.yaml, if anything is."""
    load_settings()


if __name__ == "__main__":
    run(main)
