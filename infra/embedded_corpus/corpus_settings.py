"""settings.yaml as strict, frozen models: an unknown key or a missing one is an error that names it."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

CUES = ("pitch", "range", "rate", "loudness", "tilt", "breath", "drive", "tremble", "slope", "swell", "bounce", "drawl",
        "gasp", "sigh")


class Strict(BaseModel):
    """No unknown keys, no later changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Cues(Strict):
    """Offsets from (or deviations around) a neutral delivery; units in settings.yaml."""

    pitch: float
    range: float
    rate: float
    loudness: float
    tilt: float
    breath: float
    drive: float
    tremble: float
    slope: float
    swell: float
    bounce: float
    drawl: float
    gasp: float
    sigh: float


class Speaker(Strict):
    """One made-up voice: pitch in hertz, tract in per cent of the usual formant frequencies."""

    name: str
    gender: Literal["female", "male"]
    accent: str
    pitch: float
    tract: int
    flutter: int
    rough: int
    age: int | None = None


class Corpus(Strict):
    """The speakers of one corpus, whose file names it borrows, and how fast it is spoken (% of the usual)."""

    layout: Literal["ravdess", "crema_d", "tess", "savee"]
    tempo: float
    speakers: tuple[Speaker, ...]


class Delivery(Strict):
    """What every utterance has in common; levels in dBFS, times in seconds."""

    words_per_minute: float
    level_dbfs: float
    peak_dbfs: float
    breath_db: float
    gasp_db: float
    gasp_seconds: tuple[float, float]
    tremble_hertz: tuple[float, float]
    silence_before: tuple[float, float]
    silence_after: tuple[float, float]
    floor_dbfs: tuple[float, float]
    colour_db: float


class Noise(Strict):
    """How many recordings of each category, and how long (seconds)."""

    recordings: int
    seconds: tuple[float, float]
    peak_dbfs: float


class Settings(Strict):
    """All of settings.yaml."""

    seed: int
    sample_rate: int
    emotions: dict[str, Cues]
    spread: Cues
    habits: Cues
    expressiveness: tuple[float, float]
    intensities: dict[str, float]
    delivery: Delivery
    corpora: dict[str, Corpus]
    noise: Noise


def load(path: Path = Path(__file__).with_name("settings.yaml")) -> Settings:
    """Read the settings. Raises pydantic.ValidationError, which names every key that is wrong."""
    return Settings.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
