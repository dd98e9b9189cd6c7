"""Each corpus left out in turn, at a first clip and with the voice known: python -m benchmarks.across_corpora

Statistics over time of a frozen checkpoint (`wav2vec.states: statistics`) and a logistic regression, trained on all
corpora but one and tested on that one. 'Voice known' brings each speaker's statistics to mean 0 and deviation 1 by that
speaker's own clips, without labels, in training and in the test; 'after n clips' by n of them drawn at random. Run in a
workspace with `preset: pretrained` whose pipeline has run up to `validate`.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from ser_ops.audio.signal import fit_windows
from ser_ops.config.params import Params, load_params
from ser_ops.dataset.examples import ordered_batches
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation.metrics import scores
from ser_ops.manifest import UtteranceRow, validated_utterances
from ser_ops.models.architectures import speech_backbone
from ser_ops.seeds import generator
from ser_ops.shards import Shards

COST = 0.001        # of the regression's penalty, for 2,304 values of deviation 1
PER_SPEAKER = 300   # clips that train, so that two speakers of 1,400 clips do not stand for everybody
CLIPS = (4, 10, 30)
SEED = 1
_BATCH = 8


def statistics(params: Params, rows: Sequence[UtteranceRow]) -> np.ndarray:
    """What the preset's checkpoint makes of each clean utterance, float32 (n, values)."""
    backbone = speech_backbone(params.wav2vec, params.features).eval()
    waveforms = Shards(params.paths.work / "ingest" / "waveforms")
    length = round(params.features.seconds * params.data.sample_rate)
    parts = []
    for indices in tqdm(ordered_batches(len(rows), _BATCH), "statistics", unit="batch"):
        waveform, valid = fit_windows([waveforms[rows[index].utterance] for index in indices], length)
        with torch.inference_mode():
            parts.append(backbone.states(torch.from_numpy(waveform), torch.from_numpy(valid)).flatten(1).numpy())
    return np.concatenate(parts)


def by_voice(values: np.ndarray, speakers: np.ndarray, clips: int | None = None) -> np.ndarray:
    """Values (n, d) less the mean of their speaker's clips, divided by their deviation; of `clips` of them alone.

    >>> by_voice(np.array([[1.0], [3.0], [10.0], [30.0]]), np.array(["a", "a", "b", "b"])).ravel()
    array([-1.,  1., -1.,  1.])
    """
    standardised = np.empty_like(values)
    for speaker in np.unique(speakers):
        own = np.flatnonzero(speakers == speaker)
        enrolled = own if clips is None else generator(SEED, speaker, clips).permutation(own)[:clips]
        deviation = values[enrolled].std(0)
        standardised[own] = (values[own] - values[enrolled].mean(0)) / np.where(deviation > 0, deviation, 1.0)
    return standardised


def trained_speakers(speakers: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Indices of clips that train: of the chosen ones at most PER_SPEAKER of each speaker."""
    parts = [generator(SEED, "train", speaker).permutation(np.flatnonzero(chosen & (speakers == speaker)))[:PER_SPEAKER]
             for speaker in np.unique(speakers[chosen])]
    return np.concatenate(parts)


def left_out(values: np.ndarray, labels: np.ndarray, speakers: np.ndarray, corpora: np.ndarray,
             corpus: str) -> dict[str, float]:
    """UAR on one corpus of a regression trained on the others, by how well the voice is known."""
    train, test = trained_speakers(speakers, corpora != corpus), corpora == corpus
    mean, deviation = values[train].mean(0), values[train].std(0) + 1e-6

    def answers(fitted: np.ndarray, asked: Sequence[np.ndarray]) -> list[float]:
        model = LogisticRegression(C=COST, max_iter=200, class_weight="balanced").fit(fitted, labels[train])
        return [float(scores(labels[test], model.predict(part))["uar"]) for part in asked]

    first = answers((values[train] - mean) / deviation, [(values[test] - mean) / deviation])
    known = by_voice(values, speakers)
    later = answers(known[train], [by_voice(values[test], speakers[test], clips) for clips in CLIPS] + [known[test]])
    return dict(zip(("first clip", *(f"after {clips} clips" for clips in CLIPS), "voice known"), first + later,
                    strict=True))


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    params = load_params()
    rows = validated_utterances(params.paths.work)
    values = statistics(params, rows)
    labels = np.array([EMOTIONS.index(row.emotion) for row in rows])
    corpora = np.array([row.corpus for row in rows])
    speakers = np.array([f"{row.corpus}/{row.speaker}" for row in rows])
    uars = {corpus: left_out(values, labels, speakers, corpora, corpus) for corpus in np.unique(corpora)}
    columns = list(next(iter(uars.values())))
    print(f"| tested on | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}")
    for corpus, uar in uars.items():
        print(f"| {corpus} | {' | '.join(f'{uar[column]:.3f}' for column in columns)} |")
    print(f"| mean | {' | '.join(f'{np.mean([uar[column] for uar in uars.values()]):.3f}' for column in columns)} |")


if __name__ == "__main__":
    main()
