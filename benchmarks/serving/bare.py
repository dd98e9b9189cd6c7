"""The bare batched loop: python -m benchmarks.serving.bare MODEL CLIPS BATCH SECONDS

Files are read and answered, a batch at a time, by nothing but the door and the model. Prints recordings a second and
processor milliseconds of each.
"""

import itertools
import sys
import time
from pathlib import Path

from ser_ops.audio.reading import read_recording
from ser_ops.inference.recogniser import Recogniser


def measure(model: Path, clips: Path, batch: int, seconds: float) -> tuple[float, float]:
    """Recordings a second and processor milliseconds of each, over clips of one window."""
    recogniser, files = Recogniser(model), itertools.cycle(sorted(clips.glob("*.wav")))

    def answer() -> None:
        read = [read_recording(file, recogniser.sample_rate).samples for file in itertools.islice(files, batch)]
        recogniser.answer_windows([(0, samples) for samples in read])

    answer()    # warms up
    batches, begun, busy = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - begun < seconds:
        answer()
        batches += 1
    answered = batches * batch
    return answered / (time.perf_counter() - begun), 1000 * (time.process_time() - busy) / answered


if __name__ == "__main__":
    print(*measure(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
