"""Any model on any labelled audio: a CSV file that lists it, and a folder of noise recordings."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops.audio.admission import Clip, bandwidth_warning, padding_warning
from ser_ops.audio.reading import read_clip
from ser_ops.config.data import ManifestSource
from ser_ops.config.model_json import input_of
from ser_ops.config.params import Params
from ser_ops.emotions import class_index
from ser_ops.errors import UserError
from ser_ops.evaluation.predictions import CLEAN, noise_grid, transmission_conditions
from ser_ops.evaluation.robustness import Panel, answer_condition, gather_predictions
from ser_ops.evaluation.summary import Summary
from ser_ops.evaluation.voices import Clips, known_voices
from ser_ops.manifest import NoiseRow
from ser_ops.models.base import EmotionModel
from ser_ops.progress.spreading import progress_bar
from ser_ops.terminal import count_sentences, counts_in_words

_REMEDY = "with --labels, as in --labels joy=happy,bored=drop"


class Recordings(Mapping[str, np.ndarray]):
    """Recordings by name, mono float32 at one rate, read when they are asked for: memory stays bounded."""

    def __init__(self, clips: Mapping[str, Clip], sample_rate: int) -> None:
        self.clips, self.sample_rate = dict(clips), sample_rate

    def __getitem__(self, name: str) -> np.ndarray:
        return read_clip(self.clips[name], self.sample_rate).samples

    def __iter__(self) -> Iterator[str]:
        return iter(self.clips)

    def __len__(self) -> int:
        return len(self.clips)


def _readable(recordings: Recordings, what: str,
              window: float | None = None) -> tuple[list[str], list[dict[str, str]], list[dict[str, str]]]:
    """Names of the recordings that can be used; those that are refused, with the reason; and warnings.

    window: seconds that the model hears, with whose rate and window a recording is compared; None for no model.
    """
    usable, refused, warned = [], [], []
    for name in progress_bar(sorted(recordings), f"read {what}"):
        path = recordings.clips[name].path
        named = {"name": name, "path": str(path)}
        try:
            recording = read_clip(recordings.clips[name], recordings.sample_rate)
        except UserError as error:
            refused.append({**named, "reason": str(error).removeprefix(f"{path}: ")})
            continue
        usable.append(name)
        of_model = (bandwidth_warning(recording.native_rate, recordings.sample_rate),
                    padding_warning(recording.seconds, window)) if window else ()
        warned += [{**named, "warning": warning} for warning in (*recording.warnings, *filter(None, of_model))]
    return usable, refused, warned


def evaluate_manifest(model: EmotionModel, card: Mapping[str, Any], manifest: Path, noise: Path | None,
                      params: Params, labels: dict[str, Any] | None = None,
                      channel: int | None = None) -> dict[str, Any]:
    """Figures of one model on the recordings of a manifest, in the form of one model of metrics.json.

    Every recording counts as test material: none of it chooses anything.

    Args:
        model, card: a trained network and its model.json.
        manifest: CSV file with columns path, emotion and speaker.
        noise: a folder with one folder of recordings for each category. With it the whole grid is run, stationary noise
            included, and telephone lines and rooms; without it clean speech alone.
        params: settings of the grid, the intervals and the device.
        labels: from the manifest's labels to the seven classes or `drop`.
        channel: of every recording, from 1 on; None for the manifest's, or the choice of `ser_ops.audio`.

    Returns:
        The figures, and beside them: `intervals`, whether they are over speakers or utterances, and why;
        `voices`, UAR by how many other clips of a speaker the model knew, where it can and each speaker is named;
        `used` and `of`, lines of the manifest that the figures rest on, of all; `left_out`, the others by reason;
        `noise`, the same of noise recordings, None without them; `skipped`, each recording that is missing or refused,
        with the reason; `chance_uar`, UAR of a guess: 1 by the number of classes that occur; `oddities` of the
        manifest and `warnings` about recordings.

    Raises:
        UserError: for a manifest or a noise folder of which nothing can be used.
    """
    from ser_ops.corpora.csv_manifest import read_manifest
    from ser_ops.device import device_of
    settings, name = params.evaluate, str(card.get("model", "model"))
    corpus = read_manifest(ManifestSource(name="manifest", file=manifest, labels=labels or {}), _REMEDY,
                           files_may_be_missing=True)
    rate = int(card["sample_rate"])
    rows = {row.utterance: row for row in corpus.utterances}
    speech = Recordings({utterance: row.clip if channel is None else replace(row.clip, channel=channel)
                         for utterance, row in rows.items()}, rate)
    utterances, skipped, warned = _readable(speech, "speech", input_of(card).seconds)
    total = len(rows) + sum(corpus.skipped.values())
    left_out = {**corpus.skipped, **count_sentences(refusal["reason"] for refusal in skipped)}
    if not utterances:
        raise UserError(f"{manifest}: none of its {total} recordings can be used ({counts_in_words(left_out)}): mend "
                        f"them, or their paths (a relative path counts from {manifest.parent})")
    conditions, mixer, noise_used = [CLEAN], None, None
    if noise is not None:
        mixer, noise_rows, unusable = _mixer(noise, rate, params)
        conditions += [*noise_grid(noise_rows, settings), *transmission_conditions(settings)]
        skipped += unusable
        noise_used = {"used": len(noise_rows), "of": len(noise_rows) + len(unusable),
                      "left_out": count_sentences(refusal["reason"] for refusal in unusable)}
    panel = Panel({name: (model, card)}, device_of(params.compute.device), settings.batch_size)
    true = np.array([class_index(rows[utterance].emotion) for utterance in utterances])
    answers = (answer_condition(panel, speech, mixer, utterances, condition)
               for condition in progress_bar(conditions, "evaluate", len(conditions), "cell"))
    speakers = [rows[utterance].speaker for utterance in utterances]
    summary = Summary(gather_predictions([name], utterances, speakers, true, conditions, answers), settings)
    known = {} if "" in speakers else known_voices(
        model, card, Clips(utterances, speech, speakers, true), settings.voice_clips, settings.seeds[0], summary.unseen,
        settings.confidence, device_of(params.compute.device), settings.batch_size)
    return {"manifest": str(manifest), "utterances": len(utterances), "used": len(utterances), "of": total,
            "left_out": left_out, "noise": noise_used, "speakers": len(set(speakers)),
            "seeds": list(settings.seeds) if mixer else [], "chance_uar": 1 / len(np.unique(true)),
            "intervals": summary.intervals(), **summary.model(name), **({"voices": known} if known else {}),
            "skipped": skipped, "oddities": corpus.oddities, "warnings": warned}


def _mixer(folder: Path, rate: int, params: Params) -> tuple[Any, list[NoiseRow], list[dict[str, str]]]:
    """A mixer over FOLDER/<category>/*, all of it test material, its rows, and what cannot be used."""
    from ser_ops.noise.mixing import Mixer
    from ser_ops.noise.recordings import scan_collection
    if not os.path.isdir(folder):
        raise UserError(f"{folder}: no such folder: give one that holds a folder of recordings for each kind of noise")
    scanned = scan_collection(folder, folder.resolve().name)
    recordings = Recordings({row.recording: Clip(row.path) for row in scanned.recordings}, rate)
    good, bad, _ = _readable(recordings, "noise")
    bad += [{"path": str(folder / path), "reason": reason}
            for path, reason in sorted({**scanned.skipped, **scanned.clashes}.items())]
    usable = set(good)
    if not usable:
        raise UserError(f"{folder}: holds no noise that can be read: put recordings into a folder for each kind, as "
                        f"in {folder / 'fish_market'}")
    rows = [NoiseRow(row.recording, row.collection, row.category, source=row.source, partition="test")
            for row in scanned.recordings if row.recording in usable]
    mixer = Mixer({name: recordings[name] for name in good}, rows, rate, params.augment.level,
                  params.augment.silent_crop_dbfs)
    return mixer, rows, bad
