"""The bare batched loop: python -m benchmarks.serving.bare MODEL CLIPS BATCH SECONDS prints recordings a second.

Files are read and answered, a batch at a time, by nothing but the door and the model.
"""

import itertools
import sys
import time
from pathlib import Path

from ser_ops.audio.reading import read_recording
from ser_ops.inference.recogniser import Recogniser


def rate(model: Path, clips: Path, batch: int, seconds: float) -> float:
    """Recordings a second, over batches of clips of one window each."""
    recogniser, files = Recogniser(model), itertools.cycle(sorted(clips.glob("*.wav")))
    answered, begun = 0, float("inf")
    while time.perf_counter() - begun < seconds:
        read = [read_recording(file, recogniser.sample_rate).samples for file in itertools.islice(files, batch)]
        recogniser.answer_windows([(0, samples) for samples in read])
        if begun == float("inf"):       # the first batch warms up
            begun = time.perf_counter()
        else:
            answered += batch
    return answered / (time.perf_counter() - begun)


if __name__ == "__main__":
    print(rate(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
