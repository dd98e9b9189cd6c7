"""report: what the page needs beside the other stages' files, and the page: reports/index.html."""

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ser_ops.config.params import Params, load_params
from ser_ops.corpora import corpus
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.evaluation import predictions
from ser_ops.evaluation.predictions import noise_categories
from ser_ops.evaluation.published import TABLE_V, TABLE_V_DEVIATIONS, TABLE_VI, impossible_figures
from ser_ops.files import replacing, write_json
from ser_ops.manifest import NoiseRow, UtteranceRow, validated_noise, validated_utterances
from ser_ops.noise.mixing import Mixer
from ser_ops.report import clips
from ser_ops.report.page import build
from ser_ops.report.provenance import provenance
from ser_ops.shards import Shards
from ser_ops.stages import run
from ser_ops.terminal import print_line
from ser_ops.tracking.licences import NOT_STATED, sources
from ser_ops.tracking.runs import data_md5, git_commit, git_dirty


def main() -> None:
    """Write clips, provenance.json, published.json and history.csv into reports/, then the page from reports/ alone."""
    params = load_params()
    work, reports = params.paths.work, params.paths.reports
    model = work / "models" / params.train.model
    manifest, noise = validated_utterances(work), validated_noise(work)
    tree = {"commit": git_commit(), "dirty": git_dirty(), "data_md5": data_md5()}
    write_json(reports / "provenance.json", provenance(params, tree, model, manifest, noise))
    write_json(reports / "published.json", published_record())
    with replacing(reports / "history.csv") as copy:
        shutil.copyfile(model / "history.csv", copy)
    write_json(reports / "clips.json", {"clips": _clips(params, manifest, noise)})
    print(f"report: {build(reports)}")


def published_record() -> dict[str, Any]:
    """published.json: the papers' own numbers that the page shows beside ours."""
    return {
        "table_iii": {name: {"speakers": layout.speakers, "samples": sum(layout.expected().values()),
                             "counts": layout.expected()} for name, layout in corpus.LAYOUTS.items()},
        "table_v": {cell: {**row, "deviation": TABLE_V_DEVIATIONS[cell]} for cell, row in TABLE_V.items()},
        "table_vi": TABLE_VI, "marks": impossible_figures()}


def _clips(params: Params, manifest: list[UtteranceRow], noise: list[NoiseRow]) -> list[dict[str, Any]]:
    work, rate = params.paths.work, params.data.sample_rate
    mixer = Mixer(Shards(work / "ingest" / "noise"), noise, rate, params.augment.level,
                  params.augment.silent_crop_dbfs)
    recorded, _ = noise_categories(noise)
    written = clips.write_clips(
        params.paths.reports / "clips", [row for row in manifest if row.partition == "test"],
        Shards(work / "ingest" / "waveforms"), rate, mixer, [*recorded, *params.evaluate.stationary],
        params.evaluate.seeds[0], _answers(params.paths.reports, params.train.model), params.report)
    used = sources(params, list({row.corpus for row in manifest}))
    licences = {(source.kind, source.name): source.licence for source in used}
    for clip in written:
        clip["licence"] = licences.get(("speech", clip["corpus"]), NOT_STATED)
        if recording := clip["noisy"]["recording"]:
            clip["noisy"]["licence"] = licences.get(("noise", recording.split("/")[0]), NOT_STATED)
    return written


def _answers(reports: Path, model: str) -> Callable[[str, str, float, int | None], Mapping[str, Any]]:
    """A function that looks up in predictions.csv what the evaluated model answered; {} for what is not there."""
    try:
        return partial(_answer, predictions.read_predictions(reports / "predictions.csv", model))
    except UserError as error:
        print_line(str(error))
        return lambda *_: {}


def _answer(table: predictions.Predictions, utterance: str, noise: str, intensity: float,
            seed: int | None) -> Mapping[str, Any]:
    condition = predictions.Condition(noise, intensity, seed)
    if utterance not in table.utterances or condition not in table.conditions:
        return {}
    chances = table.probabilities[0, table.conditions.index(condition), table.utterances.index(utterance)]
    return {"predicted": EMOTIONS[int(chances.argmax())], "confidence": float(chances.max())}


if __name__ == "__main__":
    run(main)
