"""choices.yaml as a strict frozen model."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

FILE = Path(__file__).with_name("choices.yaml")
Positive = Annotated[float, Field(gt=0)]


class Choices(BaseModel):
    """What the comparison is made of; meanings stand beside each value in choices.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    folds: Annotated[int, Field(ge=2)]
    validation_speakers: Annotated[int, Field(ge=1)]
    grid_seed: Annotated[int, Field(ge=0)]
    training_seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    validation_seed: Annotated[int, Field(ge=0)]
    feature_sets: tuple[Literal["ComParE_2016", "eGeMAPSv02"], ...]
    costs: Annotated[tuple[Positive, ...], Field(min_length=1)]
    resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    bootstrap_seed: Annotated[int, Field(ge=0)]


def load(path: Path = FILE) -> Choices:
    """Read and check the choices; pydantic's ValidationError names what is wrong."""
    return Choices(**yaml.safe_load(path.read_text(encoding="utf-8")))
