"""A model by torch and by its ONNX graph: difference, speed, start and memory, in one run.

    ser-ops export onnx --model FOLDER --out EXPORTED
    OMP_NUM_THREADS=1 python -m benchmarks.onnx EXPORTED [--recording FILE] [--starts 5]

Difference and speed over made windows, in this process, on one thread each. A start is `ser-ops predict FILE --model
FOLDER` in a fresh process, by turns with the graph and in a copy without it; processor seconds and peak memory are the
process's own. Without a recording it is three seconds of a made tone. Prints a table in Markdown.
"""

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch

from ser_ops.config.model_json import GRAPH, window_of
from ser_ops.config.params import load_params_anywhere
from ser_ops.inference.recogniser import Recogniser
from ser_ops.onnx_export import made_windows, speed

BATCHES = (1, 16)


class Start(NamedTuple):
    """Of one process: seconds until it ended, processor seconds, and megabytes at its peak."""

    seconds: float
    processor: float
    megabytes: float


# A process inherits the peak of the one that began it (getrusage), but not this.
_ANSWER = """
import re, sys
from ser_ops.cli import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1], file=sys.stderr)
"""


def start(recording: Path, model: Path) -> Start:
    """One recording answered in a fresh process."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", _ANSWER, "predict", str(recording), "--model", str(model)],
                          capture_output=True, text=True, check=True)
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Start(seconds, processor, int(done.stderr.split()[-1]) / 1024)


def median(starts: list[Start]) -> Start:
    """Each figure's own median."""
    return Start(*map(statistics.median, zip(*starts, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a folder that holds model.onnx")
    parser.add_argument("--recording", type=Path, help="that each process answers")
    parser.add_argument("--starts", type=int, default=5, help="of each")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = load_params_anywhere().export
    graph, network = (Recogniser(arguments.model, "cpu", onnx=onnx).network for onnx in (True, False))
    windows = made_windows(settings.clips, window_of(network.card), settings.seed)
    difference = np.abs(windows.answers(graph, BATCHES[-1]) - windows.answers(network, BATCHES[-1])).max()
    with tempfile.TemporaryDirectory() as holder:
        plain = Path(holder) / "model"
        shutil.copytree(arguments.model, plain, ignore=shutil.ignore_patterns(GRAPH))
        recording = arguments.recording or Path(holder) / "tone.wav"
        if arguments.recording is None:
            soundfile.write(recording, made_windows(1, 48_000, settings.seed).samples[0], 16_000)
        turns = [(start(recording, arguments.model), start(recording, plain)) for _ in range(arguments.starts)]
    starts = [median(list(each)) for each in zip(*turns, strict=True)]
    print(f"largest difference of a probability over {len(windows.samples)} windows: {difference:.1e}\n")
    print("| | graph | torch |\n| --- | --: | --: |")
    for batch in BATCHES:
        print(f"| windows a second, {batch} at a time | {speed(graph, windows, batch):.0f} | "
              f"{speed(network, windows, batch):.0f} |")
    for name, words in (("seconds", "start to answer, seconds"), ("processor", "of them of the processor"),
                        ("megabytes", "peak memory, MB")):
        print(f"| {words} | " + " | ".join(f"{getattr(each, name):.{0 if name == 'megabytes' else 2}f}"
                                           for each in starts) + " |")


if __name__ == "__main__":
    main()
