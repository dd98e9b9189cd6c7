"""What `ser-ops score` costs: beside the bare loop, with two workers beside one, and how it grows.

    python -m benchmarks.scoring [rate] [workers] [growth] [--model FOLDER] [--recordings 2000] [--rounds 3]
        [--sizes 1000 10000 100000] [--foretold 10000000] [--price 0.05]

The recordings are clips of half a second: a hundred files of noise and tones, of which the others are hard links, so
that they come from this machine's memory and not from its disk. Without --model a spectral model of preset demo with
random weights answers, with the detector of speech: a model's weights change no time. Prints a line each.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.growth.cost import Cost, cost
from ser_ops.audio.reading import RecordingStream
from ser_ops.config.params import Params, load_params
from ser_ops.inference.recogniser import Recogniser
from ser_ops.progress.spreading import use_one_thread
from ser_ops.scoring.run import score

PROJECT = Path(__file__).resolve().parents[1]
_DIFFERENT, _IN_A_FOLDER = 100, 1000
_RATE, _SECONDS = 16000, 0.5


def make_clips(folder: Path, number: int) -> Path:
    """So many clips in folders of a thousand; those that are there stay."""
    originals = folder / "originals"
    originals.mkdir(parents=True, exist_ok=True)
    moments = np.arange(round(_RATE * _SECONDS)) / _RATE
    for seed in range(_DIFFERENT):
        tone = 0.2 * np.sin(2 * np.pi * (100 + seed) * moments)
        samples = tone + np.random.default_rng(seed).normal(0, 0.02, len(moments))
        soundfile.write(originals / f"{seed}.wav", samples, _RATE)
    clips = folder / f"clips-{number}"
    for place in range(number):
        clip = clips / f"{place // _IN_A_FOLDER:04d}" / f"{place:08d}.wav"
        if place % _IN_A_FOLDER == 0:
            clip.parent.mkdir(parents=True)
        os.link(originals / f"{place % _DIFFERENT}.wav", clip)
    return clips


def make_model(folder: Path) -> Path:
    """A spectral model of preset demo with random weights."""
    from ser_ops.config.params import load_preset
    from ser_ops.models import architectures, model_folder
    from ser_ops.speech.detector import copy_weights

    folder.mkdir()
    model_folder.save(folder, architectures.build("spectral", load_preset("demo"), seed=1),
                      {"speech_sha256": copy_weights(folder)})
    return folder


def answer_bare(recogniser: Recogniser, clips: Path) -> None:
    """Read, listen for speech and answer, a batch at a time, and keep nothing: the door and the model alone."""
    files = iter(sorted(clips.rglob("*.wav")))
    while batch := list(islice(files, recogniser.batch_size)):
        windows = []
        for file in batch:
            listening = recogniser.detector.listen() if recogniser.detector else None
            blocks: Iterator[np.ndarray] = iter(RecordingStream(file, recogniser.sample_rate))
            windows.append((0, np.concatenate(list(listening.passing(blocks) if listening else blocks))))
            if listening:
                listening.end()
        recogniser.answer_windows(windows)


def seconds(what: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call in this process."""
    wall, busy = time.perf_counter(), time.process_time()
    what()
    return time.perf_counter() - wall, time.process_time() - busy


def rate(params: Params, model: Path, folder: Path, number: int, rounds: int) -> None:
    """Recordings a second of one process, bare and scored by turns; the quickest round of each."""
    clips, recogniser = make_clips(folder, number), Recogniser(model, predict=params.predict)
    one = params.model_copy(update={"compute": params.compute.model_copy(update={"workers": 1})})
    answer_bare(recogniser, clips)      # warms up
    bare, scored = list[tuple[float, float]](), list[tuple[float, float]]()
    for turn in range(rounds):
        bare.append(seconds(partial(answer_bare, recogniser, clips)))
        scored.append(seconds(partial(score, one, str(clips), folder / f"rate-{turn}", str(model))))
    (bare_wall, bare_busy), (wall, busy) = (tuple(map(min, zip(*turns, strict=True))) for turns in (bare, scored))
    print(f"rate of {number} recordings, one process: bare {number / bare_wall:.1f}, scored {number / wall:.1f} a "
          f"second: {bare_wall / wall:.2f} of it; by processor seconds ({1000 * bare_busy / number:.2f} and "
          f"{1000 * busy / number:.2f} ms each) {bare_busy / busy:.2f}", flush=True)


def measured(folder: Path, model: Path, clips: Path, out: Path, cores: int) -> Cost:
    """What `ser-ops score` costs on so many cores, a process each, in a folder without project."""
    folder.mkdir(exist_ok=True)
    usable = ",".join(map(str, sorted(os.sched_getaffinity(0))[:cores]))
    return cost(["taskset", "--cpu-list", usable, sys.executable, "-m", "ser_ops.cli", "score", str(clips),
                 "--out", str(out), "--model", str(model)], folder,
                os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}, 0.2)


def workers(model: Path, folder: Path, number: int, rounds: int) -> None:
    """Wall seconds on one core over those on two, start and end included; the quickest round of each."""
    clips, of = make_clips(folder, number), dict[int, list[Cost]]()
    for turn in range(rounds):
        for cores in (1, 2):
            of.setdefault(cores, []).append(
                measured(folder / "run", model, clips, folder / f"workers-{cores}-{turn}", cores))
    wall, busy = ({cores: min(getattr(each, what) for each in costs) for cores, costs in of.items()}
                  for what in ("wall", "cpu"))
    print(f"workers, {number} recordings: one {wall[1]:.1f} s, two {wall[2]:.1f} s: {wall[1] / wall[2]:.2f} times as "
          f"fast, start included (processor seconds {busy[1]:.1f} and {busy[2]:.1f}; load "
          f"{os.getloadavg()[0]:.1f})", flush=True)


def growth(model: Path, folder: Path, sizes: list[int], foretold: int, price: float) -> None:
    """Seconds, memory and bytes by the number of recordings; each size foretold by the two before it."""
    cores, busy, each = len(os.sched_getaffinity(0)), list[float](), 0.0
    for place, size in enumerate(sizes):
        clips, out = make_clips(folder, size), folder / f"growth-{size}"
        first, again = (measured(folder / "run", model, clips, out, cores) for _ in range(2))
        each = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / size
        told = f" (foretold {_line(sizes[:place], busy, size):.0f})" if place > 1 else ""
        busy.append(first.cpu)
        print(f"growth, {size} recordings: {first.wall:.1f} s, {first.cpu:.1f} processor seconds{told}, peak "
              f"{first.peak_mb:.0f} MB over {cores} processes and their parent, {each:.0f} bytes each; given again "
              f"{again.wall:.1f} s, {again.peak_mb:.0f} MB", flush=True)
    if len(sizes) > 1:
        hours = _line(sizes, busy, foretold) / 3600
        print(f"foretold, {foretold} recordings: {hours:.1f} core hours, {each * foretold / 1e9:.1f} GB; at {price:g} "
              f"a core hour {hours * price:.2f}", flush=True)


def _line(sizes: list[int], busy: list[float], size: int) -> float:
    """Processor seconds at a size, by the line through the last two that were measured."""
    slope = (busy[-1] - busy[-2]) / (sizes[-1] - sizes[-2])
    return busy[-1] + slope * (size - sizes[-1])


def main() -> None:
    """Measure what is named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["rate", "workers", "growth"], choices=["rate", "workers", "growth"])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--recordings", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--foretold", type=int, default=10_000_000)
    parser.add_argument("--price", type=float, default=0.05, help="of a core hour")
    given = parser.parse_args()
    use_one_thread()
    with tempfile.TemporaryDirectory(prefix="ser-ops-scoring-") as name:
        model = given.model.absolute() if given.model else make_model(Path(name) / "model")
        parts: dict[str, Callable[[Path], None]] = {
            "rate": lambda folder: rate(load_params(), model, folder, given.recordings, given.rounds),
            "workers": lambda folder: workers(model, folder, given.recordings, given.rounds),
            "growth": lambda folder: growth(model, folder, given.sizes, given.foretold, given.price)}
        for what in given.what:
            parts[what](Path(name) / what)


if __name__ == "__main__":
    main()
