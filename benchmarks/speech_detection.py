"""How often noise alone is answered 'no speech', and how much speech in noise is lost by it.

    python -m benchmarks.speech_detection --corpora ../shared/corpora --noise ../shared/noise [--clips 200]

Noise: recordings below the folder, in a folder for each category, whole and in windows of `features.seconds`, each
heard afresh; windows of stationary noise, of chords with a beat, and of silence. Speech: clips from below the corpora,
clean and at `--intensity` in each stationary noise and in `--each` recordings drawn for it (paper 1, equation 3).
Settings of detection are predict.speech of params.yaml, the weights those of the installed silero-vad. Prints a table
in Markdown; recordings that are taken for speech stand there by name.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ser_ops.audio.admission import FORMATS
from ser_ops.audio.reading import read_recording
from ser_ops.audio.signal import window_spans
from ser_ops.config.params import load_params
from ser_ops.config.services import Speech
from ser_ops.folders import list_contents
from ser_ops.noise.mixing import NOISE_COLOURS, crop_noise, mix_noise, stationary_noise
from ser_ops.progress.spreading import progress_bar, use_one_thread
from ser_ops.seeds import generator
from ser_ops.speech.detector import RATE, Detector, copy_weights, segments

STATIONARY_WINDOWS = 50     # of each kind


def recordings(folder: Path) -> list[Path]:
    """Recordings below a folder, sorted."""
    return [folder / file for file in list_contents(folder).files if file.suffix.lower() in FORMATS]


class Hearing:
    """The detector with its settings."""

    def __init__(self, settings: Speech) -> None:
        self.settings = settings
        with tempfile.TemporaryDirectory() as name:
            self.detector = Detector(Path(name), copy_weights(Path(name)))

    def is_spoken(self, samples: np.ndarray) -> bool:
        """Whether somebody speaks in samples (n,) at 16 kHz."""
        listening = self.detector.listen()
        for _ in listening.passing([samples]):
            pass
        return bool(segments(listening.end(), self.settings, len(samples) / RATE))


def chords(seconds: float, seed: int) -> np.ndarray:
    """Music of a kind: chords of three notes with overtones, a new one each half second, and a beat of noise."""
    draw, time = generator(seed, "chords"), np.arange(round(seconds * RATE)) / RATE
    samples = np.zeros(len(time))
    for begin in np.arange(0, seconds, 0.5):
        part = (time >= begin) & (time < begin + 0.5)
        own = time[part] - begin
        root = 110 * 2 ** (draw.integers(0, 24) / 12)
        for ratio in (1, 1.2599, 1.4983):
            samples[part] += sum(np.sin(2 * np.pi * root * ratio * overtone * own) / overtone**1.5
                                 for overtone in range(1, 8)) * np.exp(-2 * own)
        samples[part] += draw.normal(0, 0.5, part.sum()) * np.exp(-60 * own)
    return (0.3 * samples / np.abs(samples).max()).astype(np.float32)


def made_windows(seconds: float, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Kind and samples of windows without speech that no recording is needed for."""
    length = round(seconds * RATE)
    for number in range(STATIONARY_WINDOWS):
        for colour in NOISE_COLOURS:
            yield colour, 0.5 * stationary_noise(colour, length, RATE, generator(seed, "window", colour, str(number)))
        yield "chords", chords(seconds, seed + number)
    yield "silence", np.zeros(length, np.float32)


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speech_detection")
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--noise", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=200, help="drawn over all corpora")
    parser.add_argument("--each", type=int, default=4, help="noise recordings drawn for each clip")
    parser.add_argument("--intensity", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    use_one_thread()
    params = load_params()
    hearing, seconds = Hearing(params.predict.speech), params.features.seconds
    noises = {path: read_recording(path, RATE).samples for path in recordings(chosen.noise)}
    whole, parts = dict[str, list[bool]](), defaultdict[str, list[bool]](list)
    for path, samples in progress_bar(noises.items(), "noise", len(noises), "recording"):
        whole[str(path.relative_to(chosen.noise))] = [hearing.is_spoken(samples)]
        for start, end in window_spans(len(samples), round(seconds * RATE), round(seconds * RATE)):
            parts[path.parent.name].append(hearing.is_spoken(samples[start:end]))
    for kind, samples in made_windows(seconds, chosen.seed):
        parts[kind].append(hearing.is_spoken(samples))
    lost = _lost(hearing, recordings(chosen.corpora), noises, chosen)
    _print(whole, parts, lost, chosen.intensity)


def _lost(hearing: Hearing, clips: Sequence[Path], noises: dict[Path, np.ndarray],
          chosen: argparse.Namespace) -> dict[str, list[bool]]:
    """Whether each clip is taken for no speech, by the noise in it."""
    draw, lost = generator(chosen.seed, "clips"), defaultdict[str, list[bool]](list)
    drawn = [clips[index] for index in sorted(draw.choice(len(clips), min(chosen.clips, len(clips)), replace=False))]
    for path in progress_bar(drawn, "speech", len(drawn), "clip"):
        speech = read_recording(path, RATE).samples
        lost["clean"].append(not hearing.is_spoken(speech))
        added = [(colour, stationary_noise(colour, len(speech), RATE, draw)) for colour in NOISE_COLOURS]
        for index in draw.choice(len(noises), chosen.each, replace=False):
            noise = list(noises)[index]
            added.append((noise.parent.name, crop_noise(noises[noise], len(speech), draw)))
        for kind, noise_samples in added:
            lost[kind].append(not hearing.is_spoken(mix_noise(speech, noise_samples, chosen.intensity).samples))
    return lost


def _print(whole: dict[str, list[bool]], parts: dict[str, list[bool]], lost: dict[str, list[bool]],
           intensity: float) -> None:
    print("| without speech | answered 'no speech' |\n| --- | --: |")
    heard = [name for name, (spoken,) in whole.items() if spoken]
    print(f"| noise recordings, whole | {_share([not spoken for (spoken,) in whole.values()])} |")
    for kind, spoken in parts.items():
        print(f"| windows: {kind} | {_share([not window for window in spoken])} |")
    print(f"| windows, all | {_share([not window for spoken in parts.values() for window in spoken])} |")
    print(f"\nTaken for speech: {', '.join(heard) or 'none'}.\n")
    print(f"| speech | lost, at {intensity:g} |\n| --- | --: |")
    for kind, answers in lost.items():
        print(f"| {kind} | {_share(answers)} |")
    noisy = [answer for kind, answers in lost.items() if kind != "clean" for answer in answers]
    print(f"| in noise, all | {_share(noisy)} |")


def _share(answers: Sequence[bool]) -> str:
    return f"{sum(answers)} of {len(answers)} ({100 * np.mean(answers):.1f} %)"


if __name__ == "__main__":
    main(sys.argv[1:])
