"""Shapes of what the models read, and what stands at each index: equation 29 of paper 1, and paper 2's inputs.

Paper 1 calls indices `Time_N`; in the serial layout an index is not a time. Every report and plot names an index by
`describe` and puts attributions on the time axis by `to_frames`. In the frames layout the index counts through the
array of shape (2 + K, T) row by row.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ser_ops.config.models import Features, MelImage, Stacked, Window
from ser_ops.features.paper2 import CHROMA, CONTRAST, row_name

Kind = Literal["ZCR", "RMS", "MFCC"]


@dataclass(frozen=True)
class FeaturePosition:
    """One value of the input: its kind, the MFCC coefficient (None for ZCR and RMS), frame and seconds, both from 0.

    `seconds` is the centre of the frame, counted from the start of the window.
    """

    kind: Kind
    coefficient: int | None
    frame: int
    seconds: float

    @property
    def channel(self) -> int:
        """0 ZCR, 1 RMS, 2 + k the MFCC coefficient k."""
        return {"ZCR": 0, "RMS": 1, "MFCC": 2}[self.kind] + (self.coefficient or 0)


def frames_of(settings: Window) -> int:
    """Number of frames T of a window.

    >>> from ser_ops.config.params import load_preset
    >>> frames_of(load_preset("paper").features)
    108
    """
    return settings.frames


def channels_of(settings: Window) -> int:
    """Number of rows of the grid: 2 + K kinds of paper 1, 187 of paper 2's stack, or the bands of an image.

    >>> from ser_ops.config.params import load_preset
    >>> [channels_of(load_preset("paper").input_of(name)) for name in ("fusion", "cnn", "vit")]
    [22, 187, 128]
    """
    match settings:
        case Features():
            return 2 + settings.mfcc
        case Stacked():
            return settings.mfcc + CHROMA + settings.mels + CONTRAST
        case MelImage():
            return settings.mels
    raise TypeError(f"no features for {type(settings).__name__}")


def shape_of(settings: Window) -> tuple[int, ...]:
    """Shape of one utterance's features: (L,) in the serial layout, else (channels, T).

    >>> from ser_ops.config.params import load_preset
    >>> shape_of(load_preset("paper").features), shape_of(load_preset("paper").stacked)
    ((2376,), (187, 128))
    """
    channels, frames = channels_of(settings), frames_of(settings)
    return (channels * frames,) if _serial(settings) else (channels, frames)


def _serial(settings: Window) -> bool:
    return isinstance(settings, Features) and settings.layout == "serial"


def grid(settings: Features) -> np.ndarray:
    """The index of every channel and frame: int64 of shape (2 + K, T).

    Serial (equation 28): T times ZCR, T times RMS, then MFCC frame by frame.
    """
    channels, frames = 2 + settings.mfcc, frames_of(settings)
    if settings.layout == "frames":
        return np.arange(channels * frames).reshape(channels, frames)
    first = np.arange(2 * frames).reshape(2, frames)
    return np.concatenate([first, np.arange(2 * frames, channels * frames).reshape(frames, settings.mfcc).T])


def feature_at(index: int, settings: Features) -> FeaturePosition:
    """What stands at an index of paper 1's features (equation 29). Raises IndexError outside 0 <= index < (2 + K) T.

    >>> from ser_ops.config.params import load_preset
    >>> feature_at(1191, load_preset("paper").features)
    FeaturePosition(kind='MFCC', coefficient=15, frame=48, seconds=1.1145578231292517)
    """
    channels, frames = 2 + settings.mfcc, frames_of(settings)
    if not 0 <= index < channels * frames:
        raise IndexError(f"index {index} is outside 0 to {channels * frames - 1}")
    if settings.layout == "frames" or index < 2 * frames:
        channel, frame = divmod(index, frames)
    else:
        frame, coefficient = divmod(index - 2 * frames, settings.mfcc)
        channel = 2 + coefficient
    seconds = frame * settings.hop / settings.sample_rate
    if channel < 2:
        return FeaturePosition("RMS" if channel else "ZCR", None, frame, seconds)
    return FeaturePosition("MFCC", channel - 2, frame, seconds)


def index_at(channel: int, frame: int, settings: Features) -> int:
    """The index of a channel (0 ZCR, 1 RMS, 2 + k MFCC k) in a frame: the inverse of `feature_at`.

    Raises IndexError for a channel or frame that there is none of.

    >>> from ser_ops.config.params import load_preset
    >>> index_at(2 + 15, 48, load_preset("paper").features)
    1191
    """
    frames = frames_of(settings)
    if not (0 <= channel < 2 + settings.mfcc and 0 <= frame < frames):
        raise IndexError(f"channel {channel}, frame {frame} is outside {2 + settings.mfcc} channels, {frames} frames")
    if settings.layout == "frames" or channel < 2:
        return channel * frames + frame
    return 2 * frames + frame * settings.mfcc + channel - 2


def describe(index: int, settings: Window) -> str:
    """An index in words: kind, coefficient or hertz, and the time of the frame's centre.

    Paper 2's inputs count like the frames layout, row by row. Raises IndexError outside 0 <= index < size.

    >>> from ser_ops.config.params import load_preset
    >>> describe(1191, load_preset("paper").features), describe(10, load_preset("paper").features)
    ('MFCC 15 at 1.11 s', 'ZCR at 0.23 s')
    >>> describe(89 * 128 + 22, load_preset("paper").stacked), describe(0, load_preset("paper").image)
    ('mel 980 Hz at 0.51 s', 'mel 26 Hz at 0.00 s')
    """
    if isinstance(settings, Stacked | MelImage):
        row, frame = divmod(index, frames_of(settings))
        return f"{row_name(row, settings)} at {frame * settings.hop / settings.sample_rate:.2f} s"
    if not isinstance(settings, Features):
        raise TypeError(f"no features for {type(settings).__name__}")
    position = feature_at(index, settings)
    name = position.kind if position.coefficient is None else f"{position.kind} {position.coefficient}"
    return f"{name} at {position.seconds:.2f} s"


def to_grid(values: Any, settings: Window) -> Any:
    """Values of shape (..., *shape_of(settings)) as (..., channels, T); array in, array out; tensor alike.

    Raises ValueError when the last dimensions are not the layout's.
    """
    shape = shape_of(settings)
    if tuple(values.shape[-len(shape):]) != shape:
        raise ValueError(f"expected (..., {', '.join(map(str, shape))}), got {tuple(values.shape)}")
    return values[..., grid(settings)] if isinstance(settings, Features) and _serial(settings) else values


def to_frames(values: Any, settings: Window) -> Any:
    """Attributions summed per frame: (..., *shape_of(settings)) to (..., T); array or tensor.

    The sums add up to the sum of the attributions, so that completeness survives.
    """
    return to_grid(values, settings).sum(-2)
