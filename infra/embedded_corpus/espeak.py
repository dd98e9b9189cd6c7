"""espeak-ng through ctypes: words in, samples out, the same samples every time.

espeak-ng carries state from one call to the next (phases, random numbers). `speak` is therefore meant to be called once
in a fresh process; `generate.py` sees to that. Echo and breath of espeak-ng's own voice files read memory that nobody
set, and so differ from run to run: the voices here do without them.
"""

import ctypes
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from corpus_settings import Speaker
from numpy.typing import NDArray

SAMPLE_RATE = 22050
SEMITONES = (-8.7, -6.9, -5.3, -3.5, -1.8, 0.0, 1.9, 3.9, 5.9, 8.0, 9.9)  # of espeak-ng's pitch 0, 10 ... 100, measured
_SYNCHRONOUS, _UTF8 = 2, 1
_RATE, _RANGE = 1, 4


@dataclass(frozen=True)
class Word:
    """One word: pitch in semitones from the speaker's own, tempo in words a minute."""

    text: str
    semitones: float
    words_per_minute: float


def speak(speaker: Speaker, words: Sequence[Word], pitch_range: float) -> NDArray[np.float64]:
    """Mono samples at 22,050 Hz in [-1, 1]; `pitch_range` from 0 (monotone) to 99."""
    with tempfile.TemporaryDirectory() as folder:
        library = _library()
        data = _data_folder(Path(folder), speaker)
        if library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), 0) != SAMPLE_RATE:
            raise RuntimeError("espeak-ng does not start")
        pieces: list[NDArray[np.int16]] = []

        @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        def collect(samples, count, _events):
            if samples and count > 0:
                pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
            return 0

        library.espeak_SetSynthCallback(collect)
        if library.espeak_SetVoiceByName(f"{speaker.accent}+speaker".encode()):
            raise RuntimeError(f"espeak-ng has no voice '{speaker.accent}'")
        library.espeak_SetParameter(_RATE, round(words[0].words_per_minute), 0)
        library.espeak_SetParameter(_RANGE, round(min(max(pitch_range, 0), 99)), 0)
        text = " ".join(map(_marked, words)).encode() + b"\0"
        library.espeak_Synth(text, len(text), 0, 1, 0, _UTF8, None, None)
        library.espeak_Terminate()
    return np.concatenate(pieces) / 32768.0


def _marked(word: Word) -> str:
    """The word behind espeak-ng's embedded commands for pitch and speed."""
    pitch = float(np.interp(word.semitones, SEMITONES, np.arange(0, 101, 10)))
    speed = min(max(word.words_per_minute, 90), 320)
    return f"\x01{round(min(pitch, 99))}P\x01{round(speed)}S{word.text}"


@cache
def _library() -> ctypes.CDLL:
    import espeakng_loader

    return ctypes.CDLL(espeakng_loader.get_library_path())


def _data_folder(folder: Path, speaker: Speaker) -> Path:
    """espeak-ng's data with one voice variant of our own: `speaker`."""
    import espeakng_loader

    data = folder / "espeak-ng-data"
    variants = data / "voices" / "!v"
    variants.mkdir(parents=True)
    for entry in Path(espeakng_loader.get_data_path()).iterdir():
        if entry.name != "voices":
            (data / entry.name).symlink_to(entry)
    base = speaker.pitch / 1.22  # espeak-ng speaks that much above a voice's base
    lines = ["language variant", "name speaker", f"pitch {base:.0f} {1.5 * base:.0f}",
             f"flutter {speaker.flutter}", f"roughness {speaker.rough}",
             *(f"formant {n} {speaker.tract} 100 100" for n in range(9))]
    (variants / "speaker").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return data
