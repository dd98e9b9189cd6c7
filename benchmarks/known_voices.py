"""Strangers at a first clip and with the voice known: python -m benchmarks.known_voices corpora|matrix|speakers

The model and the training of params.yaml (`train.model: wav2vec` is the pretrained stream alone), tested on clean
speech. corpora, speakers: trained without one corpus or one fold of speakers (as benchmarks.unseen_speakers) in turn,
which is then tested. matrix: trained on four fifths of the speakers of one corpus, tested on the others and on every
other corpus. Run in a workspace with `preset: pretrained`, and with `train.rows_per_speaker` for several corpora, that
has run up to `validate`.
"""

import argparse
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from benchmarks.unseen_speakers import choices, ours
from benchmarks.unseen_speakers.folds import Fold, of_rows
from benchmarks.unseen_speakers.sound import Hearing, Sound
from ser_ops.config.params import load_params
from ser_ops.emotions import class_index
from ser_ops.evaluation.bootstrap import resample_unseen
from ser_ops.evaluation.voices import Clips, known_voices
from ser_ops.manifest import UtteranceRow
from ser_ops.models.base import EmotionModel
from ser_ops.training.loop import learn_population


def corpus_folds(rows: Sequence[UtteranceRow]) -> dict[str, Fold]:
    """A fold for each corpus, which it tests; one speaker of each of the others validates."""
    speakers = {corpus: sorted({row.speaker for row in rows if row.corpus == corpus})
                for corpus in sorted({row.corpus for row in rows})}
    folds = {}
    for number, corpus in enumerate(speakers, 1):
        others = [names for name, names in speakers.items() if name != corpus]
        folds[corpus] = Fold(number, tuple(speakers[corpus]), tuple(names[0] for names in others),
                             tuple(speaker for names in others for speaker in names[1:]))
    return folds


def pairs(rows: Sequence[UtteranceRow]) -> dict[str, Fold]:
    """A fold for each corpus that trains and each that is tested; of its own speakers the last fifth is tested."""
    speakers = {corpus: sorted({row.speaker for row in rows if row.corpus == corpus})
                for corpus in sorted({row.corpus for row in rows})}
    parts = {corpus: (names[:-max(1, len(names) // 5)], names[-max(1, len(names) // 5):])
             for corpus, names in speakers.items()}
    return {f"{trained} to {tested}": Fold(
        number, tuple(parts[tested][1] if tested == trained else speakers[tested]), (parts[trained][0][0],),
        tuple(parts[trained][0][1:])) for number, trained in enumerate(speakers, 1) for tested in speakers}


def speaker_folds(rows: Sequence[UtteranceRow], chosen: choices.Choices) -> dict[str, Fold]:
    """The folds of benchmarks.unseen_speakers."""
    return {f"fold {fold.number}": fold for fold in of_rows(rows, chosen.folds, chosen.validation_speakers)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("by", choices=["corpora", "matrix", "speakers"],
                        help="what is left out in turn, or each corpus on each")
    by, chosen = parser.parse_args().by, choices.load()
    torch.set_num_threads(1)
    params = load_params()
    sound, settings = Sound(params), params.evaluate
    heard = ours.ModelInput(sound, params.train.model, params.paths.work / "benchmarks" / "heard")
    training = params.train.training().model_copy(update={"keep": "last"})
    table = {}
    folds = {"corpora": corpus_folds, "matrix": pairs}.get(by, partial(speaker_folds, chosen=chosen))(sound.rows)
    networks: dict[tuple[str, ...], EmotionModel] = {}
    for name, fold in folds.items():
        speakers = tuple(sorted({*fold.train, *fold.validation}))       # who validates chooses nothing
        if speakers not in networks:
            network, _ = ours.trained(params.train.model, heard, training, speakers, fold.validation, fold)
            learn_population(network, heard.with_states(network, speakers, "train"), training.batch_size, ours.CPU)
            networks = {speakers: network}
        network = networks[speakers]
        rows = [row for row in sound.rows if row.speaker in fold.test]
        waveforms = {row.utterance: sound(row.utterance, Hearing("test")) for row in rows}
        clips = Clips([row.utterance for row in rows], waveforms, [row.speaker for row in rows],
                      np.array([class_index(row.emotion) for row in rows]))
        draws = resample_unseen(clips.true, clips.speakers, settings.resamples, settings.bootstrap_seed)
        figures = known_voices(network, ours.card(params.train.model, sound), clips, settings.voice_clips,
                               settings.seeds[0], draws, settings.confidence, ours.CPU, settings.batch_size)
        table[name] = {"first clip": figures["first"], "one emotion": {"uar": figures["one_emotion"]["uar"]}} | {
            f"after {known['clips']}": known for known in figures["after"]}
        print(f"{name}: {len(rows)} utterances, intervals over {draws.unit} {draws.instead}", flush=True)
    columns = list(next(iter(table.values())))
    print(f"| tested on | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}")
    for name, figures in table.items():
        print(f"| {name} | {' | '.join(_cell(figures[column]) for column in columns)} |")
    means = (np.mean([figures[column]["uar"] for figures in table.values()]) for column in columns)
    print(f"| mean | {' | '.join(f'{mean:.3f}' for mean in means)} |")


def _cell(figures: dict[str, float]) -> str:
    return f"{figures['uar']:.3f}" + (f" [{figures['uar_low']:.3f}, {figures['uar_high']:.3f}]"
                                      if "uar_low" in figures else "")


if __name__ == "__main__":
    main()
