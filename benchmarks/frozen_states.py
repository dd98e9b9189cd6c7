"""What linear models make of a frozen encoder: python -m benchmarks.frozen_states padding|corpora

padding: Whisper's states over the window alone, against a window that silence fills up to 30 s, on every third clip
(`--every`: 30 s cost half a second of a core). Five folds of speakers.
corpora: ways to bring corpora together, each corpus left out in turn. Some see the clips of the test without labels.
Every clip is its states' mean and deviation over time. Run in a workspace with `preset: pretrained` that has run up to
`validate`.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional

from benchmarks.unseen_speakers import choices
from benchmarks.unseen_speakers.folds import of_rows
from benchmarks.unseen_speakers.sound import Hearing, Sound
from ser_ops.audio.signal import fit_window
from ser_ops.config.params import load_params
from ser_ops.emotions import class_index
from ser_ops.manifest import UtteranceRow
from ser_ops.models.architectures import speech_backbone
from ser_ops.models.whisper_encoder import HOP, WhisperEncoder
from ser_ops.progress.spreading import progress_bar

Matrix = np.ndarray
Prepared = tuple[Matrix, Matrix]        # rows that train and rows that are tested, as a way of aligning leaves them
_RIDGE = 1.0        # on a covariance of standardised columns, of which there are more than rows


def clip_statistics(states: torch.Tensor) -> Matrix:
    """Mean and deviation over time of states (1, T, H): float32 (2H,)."""
    return torch.cat([states.mean(1), states.std(1)], 1)[0].numpy()


def unseen_uar(columns: Matrix, classes: Matrix, speakers: Matrix, folds: Sequence[Sequence[str]]) -> list[float]:
    """UAR of a logistic regression on each fold of speakers, trained on all others."""
    figures = []
    for fold in folds:
        tested = np.isin(speakers, fold)
        figures.append(linear_uar(columns[~tested], classes[~tested], columns[tested], classes[tested]))
    return figures


def linear_uar(train: Matrix, classes: Matrix, tested: Matrix, truth: Matrix) -> float:
    """UAR of a logistic regression over standardised columns, over the classes that the test holds."""
    scaler = StandardScaler().fit(train)
    model = LogisticRegression(C=0.01, max_iter=300, class_weight="balanced").fit(scaler.transform(train), classes)
    answers = model.predict(scaler.transform(tested))
    return float(recall_score(truth, answers, labels=np.unique(truth), average="macro"))


def padding(sound: Sound, rows: Sequence[UtteranceRow], network: WhisperEncoder, window: int) -> None:
    """Print UAR and processor time of states of these rows over the window alone and over 30 s."""
    ways: dict[str, list[Matrix]] = {"window alone": [], "30 s, frames of the window": [], "30 s, all frames": []}
    seconds = dict.fromkeys(ways, 0.0)
    for row in progress_bar(rows, "states"):
        samples, valid = fit_window(sound(row.utterance, Hearing("test")), window)
        clip = torch.from_numpy(samples[None, :valid])
        long = functional.pad(clip, (0, network.sizes.longest - valid))
        began = time.process_time()
        ways["window alone"].append(clip_statistics(network(clip).last_hidden_state))
        seconds["window alone"] += time.process_time() - began
        began = time.process_time()
        states = network(long).last_hidden_state
        seconds["30 s, all frames"] += time.process_time() - began
        ways["30 s, all frames"].append(clip_statistics(states))
        ways["30 s, frames of the window"].append(clip_statistics(states[:, : max(2, valid // (2 * HOP))]))
    seconds["30 s, frames of the window"] = seconds["30 s, all frames"]
    classes = np.array([class_index(row.emotion) for row in rows])
    chosen = choices.load()
    folds = [fold.test for fold in of_rows(sound.rows, chosen.folds, chosen.validation_speakers)]
    speakers = np.array([row.speaker for row in rows])
    print("| states over | UAR | by fold | ms of a core a clip |\n| --- | --- | --- | --- |")
    for name, columns in ways.items():
        figures = unseen_uar(np.stack(columns), classes, speakers, folds)
        print(f"| {name} | {np.mean(figures):.3f} | {' '.join(f'{figure:.2f}' for figure in figures)} | "
              f"{1000 * seconds[name] / len(rows):.0f} |")


def standardise_groups(columns: Matrix, groups: Matrix) -> Matrix:
    """Each group by its own mean and deviation."""
    standardised = np.empty_like(columns)
    for group in np.unique(groups):
        inside = groups == group
        standardised[inside] = StandardScaler().fit_transform(columns[inside])
    return standardised


def coral(train: Matrix, tested: Matrix) -> Prepared:
    """The training rows with the covariance of the tested ones (Sun and others, 2016), both standardised before."""
    train, tested = StandardScaler().fit_transform(train), StandardScaler().fit_transform(tested)

    def power(rows: Matrix, exponent: float) -> Matrix:
        values, vectors = np.linalg.eigh(np.cov(rows, rowvar=False) + _RIDGE * np.eye(rows.shape[1]))
        return (vectors * values**exponent) @ vectors.T

    return (train @ power(train, -0.5) @ power(tested, 0.5)).astype(np.float32), tested


def adversarial_uar(train: Matrix, classes: Matrix, domains: Matrix, tested: Matrix, truth: Matrix,
                    reversal: float, seed: int) -> float:
    """UAR of a hidden layer from which a second head, its gradient reversed, cannot tell the training corpora.

    Ganin and others, 2016; reversal 0 trains the same network without it.
    """
    torch.manual_seed(seed)
    scaler = StandardScaler().fit(train)
    rows, known = (torch.from_numpy(scaler.transform(matrix).astype(np.float32)) for matrix in (train, tested))
    labels, corpora = torch.from_numpy(classes), torch.from_numpy(domains)
    hidden = nn.Sequential(nn.Dropout(0.5), nn.Linear(rows.shape[1], 128), nn.ReLU(), nn.Dropout(0.3))
    emotion, corpus = nn.Linear(128, 7), nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1 + domains.max()))
    weight = len(labels) / (7 * torch.bincount(labels, minlength=7).clamp_min(1))
    optimiser = torch.optim.AdamW([*hidden.parameters(), *emotion.parameters(), *corpus.parameters()], 1e-3,
                                  weight_decay=0.05)
    for _ in range(20):
        for batch in torch.randperm(len(rows)).split(64):
            states = hidden(rows[batch])
            reversed_states = -reversal * states + ((1 + reversal) * states).detach()
            loss = functional.cross_entropy(emotion(states), labels[batch], weight.float()) \
                + functional.cross_entropy(corpus(reversed_states), corpora[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    hidden.eval()
    with torch.no_grad():
        answers = emotion(hidden(known)).argmax(1).numpy()
    return float(recall_score(truth, answers, labels=np.unique(truth), average="macro"))


def corpora(sound: Sound, network: WhisperEncoder, window: int, seed: int) -> None:
    """Print the UAR on each corpus of models that trained on the others, for each way of bringing them together."""
    columns = []
    for row in progress_bar(sound.rows, "states"):
        samples, valid = fit_window(sound(row.utterance, Hearing("test")), window)
        states = network(torch.from_numpy(samples[None, :valid]), output_hidden_states=True).hidden_states
        columns.append(np.concatenate([clip_statistics(layer) for layer in states[1:]]))
    table = np.stack(columns)
    classes = np.array([class_index(row.emotion) for row in sound.rows])
    corpus = np.array([row.corpus for row in sound.rows])
    speakers = np.array([row.speaker for row in sound.rows])
    names = sorted(set(corpus))
    domains = np.array([names.index(name) for name in corpus])

    def linear(prepare: Callable[[Matrix, Matrix], Prepared], tested: Matrix) -> float:
        train, known = prepare(table[~tested], table[tested])
        return linear_uar(train, classes[~tested], known, classes[tested])

    def apart(groups: Matrix, tested: Matrix) -> Callable[[Matrix, Matrix], Prepared]:
        return lambda train, known: (standardise_groups(train, groups[~tested]),
                                     standardise_groups(known, groups[tested]))

    def adversarial(tested: Matrix, reversal: float) -> float:
        inside = np.unique(domains[~tested], return_inverse=True)[1]
        return float(np.mean([adversarial_uar(table[~tested], classes[~tested], inside, table[tested],
                                              classes[tested], reversal, seed + draw) for draw in range(3)]))

    ways: dict[str, Callable[[Matrix], float]] = {
        "as they are": partial(linear, lambda train, known: (train, known)),
        "each corpus standardised": lambda tested: linear(apart(corpus, tested), tested),
        "CORAL": partial(linear, coral),
        "each speaker standardised": lambda tested: linear(apart(speakers, tested), tested),
        "a hidden layer": lambda tested: adversarial(tested, 0.0),
        "domain-adversarial, 0.3": lambda tested: adversarial(tested, 0.3),
        "domain-adversarial, 1": lambda tested: adversarial(tested, 1.0)}
    print(f"| way | {' | '.join(names)} | mean |\n| --- |{' --- |' * (len(names) + 1)}")
    for name, measure in ways.items():
        figures = [measure(corpus == left_out) for left_out in names]
        print(f"| {name} | {' | '.join(f'{figure:.3f}' for figure in figures)} | {np.mean(figures):.3f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["padding", "corpora"])
    parser.add_argument("--every", type=int, default=3, help="with padding: the clips that are taken, one of so many")
    given = parser.parse_args()
    torch.set_num_threads(1)
    params = load_params()
    sound = Sound(params)
    network = speech_backbone(params.chosen.wav2vec, params.chosen.features).network.requires_grad_(False).eval()
    window = round(params.chosen.features.seconds * sound.sample_rate)
    if given.what == "padding":
        padding(sound, sound.rows[:: given.every], network, window)
    else:
        corpora(sound, network, window, params.train.seed)


if __name__ == "__main__":
    main()
