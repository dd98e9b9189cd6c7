"""choices.yaml as strict frozen models."""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

FILE = Path(__file__).with_name("choices.yaml")
Positive = Annotated[float, Field(gt=0)]


class Strict(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(Strict):
    """Beyond these a stage is said to grow faster than the data, or to hold it."""

    exponent: Annotated[float, Field(ge=1)]
    noise: Positive
    megabytes: Positive
    kilobytes_per_recording: Positive


class Choices(Strict):
    """What growth is measured with; meanings stand beside each value in choices.yaml."""

    recordings: Annotated[int, Field(ge=10)]
    seed: Annotated[int, Field(ge=0)]
    noise_db: Annotated[float, Field(lt=0)]
    train: dict[str, Any]
    evaluate: dict[str, Any]
    limits: Limits
    every: Positive


def load(path: Path = FILE) -> Choices:
    """Read and check the choices; pydantic's ValidationError names what is wrong."""
    return Choices(**yaml.safe_load(path.read_text(encoding="utf-8")))
