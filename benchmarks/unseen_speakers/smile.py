"""openSMILE functionals of all utterances under a condition, kept in work/benchmarks so that a killed run goes on."""

import time
from pathlib import Path

import numpy as np

from benchmarks.unseen_speakers.sound import Hearing, Sound
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.files import replacing, write_json
from ser_ops.progress.spreading import progress_bar


class Functionals:
    """One feature set (ComParE_2016 or eGeMAPSv02) of every utterance, one row each in the order of `sound.rows`.

    Raises UserError when a condition is not kept yet and opensmile is not installed.
    """

    def __init__(self, name: str, sound: Sound, folder: Path) -> None:
        self.name, self.sound = name, sound
        self.folder = folder / f"{name}-{sound.mark}"

    def __call__(self, heard: Hearing) -> np.ndarray:
        """Float32 (utterances, features); seconds of one core per utterance are kept beside them."""
        path = self.folder / f"{self.sound.name(heard)}.npy"
        if not path.exists():
            rows, seconds = self._extract(heard)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, rows, allow_pickle=False)
            write_json(path.with_suffix(".json"), {"seconds_each": round(seconds / len(rows), 5)})
        return np.load(path, allow_pickle=False)

    def seconds(self, heard: Hearing) -> float:
        """Seconds of one core that one utterance took."""
        return float(read_json(self.folder / f"{self.sound.name(heard)}.json")["seconds_each"])

    def _extract(self, heard: Hearing) -> tuple[np.ndarray, float]:
        try:
            import opensmile
        except ImportError as error:
            raise UserError("opensmile is not installed: pip install 'ser-ops[benchmarks]'") from error
        smile = opensmile.Smile(feature_set=opensmile.FeatureSet[self.name],
                                feature_level=opensmile.FeatureLevel.Functionals)
        rows, seconds = [], 0.0
        for row in progress_bar(self.sound.rows, f"{self.name} {self.sound.name(heard)}"):
            samples = self.sound(row.utterance, heard)
            start = time.process_time()
            rows.append(smile.process_signal(samples, self.sound.sample_rate).to_numpy(np.float32)[0])
            seconds += time.process_time() - start
        return np.stack(rows), seconds
