"""How hard the embedded corpus is: logistic regression on mean MFCC, unseen voices.

python infra/embedded_corpus/difficulty.py [DATA] prints the UAR (mean recall of the seven emotions; chance 0.14) of
StandardScaler + LogisticRegression on each utterance's mean of 40 MFCC (librosa, 16 kHz), speakers grouped in 5 folds.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from corpus_settings import load
from layouts import utterances
from numpy.typing import NDArray

FOLDS = 5


def mean_mfcc(path: Path) -> NDArray[np.float32]:
    """(40,) float32: the mean over time of librosa's 40 MFCC of one recording."""
    import librosa

    samples, rate = soundfile.read(path, dtype="float32")
    return np.asarray(librosa.feature.mfcc(y=samples, sr=rate, n_mfcc=40).mean(axis=1), dtype=np.float32)


def fold_scores(data: Path) -> list[float]:
    """UAR of each of the five folds; the folds hold whole speakers and are stratified by emotion."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import recall_score
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    settings = load()
    everything = utterances(settings)
    features = np.stack([mean_mfcc(data / "corpora" / each.corpus / each.path) for each in everything])
    emotions = np.array(["neutral" if each.emotion == "calm" else each.emotion for each in everything])
    speakers = [f"{each.corpus}/{each.speaker.name}" for each in everything]
    scores = []
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=settings.seed)
    for train, test in folds.split(features, emotions, speakers):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(features[train], emotions[train])
        scores.append(float(recall_score(emotions[test], model.predict(features[test]), average="macro")))
    return scores


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; prints one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, nargs="?", default=Path("data"))
    data: Path = parser.parse_args(arguments).data
    if not (data / "corpora").is_dir():
        print(f"{data}: holds no corpora: run dvc pull", file=sys.stderr)
        return 1
    scores = fold_scores(data)
    print(f"logistic regression on mean MFCC, unseen synthetic voices: UAR {np.mean(scores):.3f} "
          f"(standard deviation {np.std(scores, ddof=1):.3f} over {FOLDS} folds: "
          f"{', '.join(f'{score:.3f}' for score in scores)})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
