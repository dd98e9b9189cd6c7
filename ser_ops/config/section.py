"""What all sections of params.yaml are made of: the strict frozen base model, types with their ranges, and bounds."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ser_ops.model_table import known_model

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Below0 = Annotated[float, Field(lt=0.0)]            # decibels below a reference
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]      # of dropout, smoothing or warm-up
Confidence = Annotated[float, Field(gt=0.0, lt=1.0)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
CountOr0 = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Resamples = Annotated[int, Field(ge=100)]
Hertz = Annotated[int, Field(ge=8000, le=48000)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
ModelName = Annotated[str, AfterValidator(known_model)]
StationaryNoise = Literal["white", "pink", "brown"]
Variant = Literal["original", "noisy", "pitched", "pitched_noisy", "slow", "slow_noisy", "fast", "fast_noisy",
                  "room", "room_noisy", "telephone", "noisy_telephone"]
Call = Literal["narrowband", "mulaw", "gsm", "opus_16", "opus_12", "opus_8", "loss_5", "loss_15"]
Room = Literal["room_small", "room_large"]
Transmission = Literal[Call, Room]
Overrides = dict[str, float | int | bool | str | tuple[float | str, ...]]
# What a settings file or a model folder may ask for: each bound is some times that of the largest published models.
Width = Annotated[int, Field(ge=1, le=8192)]    # channels, maps and values of one layer
Depth = Annotated[int, Field(ge=1, le=128)]     # layers, heads, networks side by side
Kernel = Annotated[int, Field(ge=1, le=4096)]   # samples, frames, bands or pixels that a kernel covers or steps over
SETTINGS_FILES = "params.yaml or the preset's file"     # where a message says to change a key that presets may set
MOST_BANDS = 256            # of a mel spectrogram
BandCount = Annotated[int, Field(ge=8, le=MOST_BANDS)]
MOST_PARAMETERS = 2**30     # of a model; four bytes each
MOST_VALUES = 2**25         # that one layer gives for one window; 20 s of a Wav2Vec 2.0 of full size


class Section(BaseModel):
    """A frozen section of settings: an unknown key, a value out of range and an infinite number are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
