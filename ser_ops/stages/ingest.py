"""Stage ingest: every utterance and noise recording found, brought to one rate, measured and partitioned."""

import os
from pathlib import Path
from typing import Any

from ser_ops import config
from ser_ops.audio.admission import Clip
from ser_ops.corpora import corpus, csv_manifest, partitions, utterance
from ser_ops.corpora.decoding import decode
from ser_ops.errors import UserError
from ser_ops.files import replacing, write_json
from ser_ops.noise import recordings
from ser_ops.noise import recordings as noise_partitions
from ser_ops.stages import run
from ser_ops.tables import write_csv
from ser_ops.terminal import tell

_MEASURES = ("sha256", "content", "native_rate", "channels", "seconds", "peak_dbfs", "rms_dbfs", "clipped_share",
             "silent_share", "warnings", "sound", "error")
UTTERANCE_FIELDS = ("utterance", "corpus", "layout", "synthetic", "path", "emotion", "speaker", "gender", "language",
                    "intensity", "text", *_MEASURES, "partition")
NOISE_FIELDS = ("recording", "collection", "category", "synthetic", "path", "source", "sha256", "content",
                "native_rate", "seconds", "peak_dbfs", "rms_dbfs", "warnings", "sound", "error", "partition")


def main() -> None:
    """Write work/ingest: manifest.csv, noise.csv, corpora.json, noise.json, waveforms/ and noise/, or nothing."""
    params = config.load()
    utterances, found = _scan(params)
    noise = recordings.scan(params.paths.data / "noise", params.data.noise)
    target = params.paths.work / "ingest"
    with replacing(target) as folder:
        rows = _spoken(params, utterances, folder / "waveforms")
        noise_rows = _noise(params, noise, folder / "noise")
        write_csv(folder / "manifest.csv", rows, UTTERANCE_FIELDS)
        write_csv(folder / "noise.csv", noise_rows, NOISE_FIELDS)
        write_json(folder / "corpora.json", {one.corpus: one.record() for one in found})
        write_json(folder / "noise.json", {name: recordings.read_card(params.paths.data / "noise", name).model_dump()
                                           for name in params.data.noise})
    for one in found:
        tell(one.sentence())
    refused, warned = (sum(bool(row[column]) for row in rows + noise_rows) for column in ("error", "warnings"))
    print(f"{len(rows)} utterances, {len(noise_rows)} noise recordings; {refused} of them are refused, {warned} have a "
          f"warning (columns error and warnings of {target / 'manifest.csv'} and noise.csv)")


def _scan(params: config.Params) -> tuple[list[utterance.Utterance], list[corpus.Found]]:
    names = params.data.names
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"params.yaml: data names {', '.join(sorted(twice))} more than once: give each corpus and "
                        "manifest a name of its own")
    folder = params.paths.data / "corpora"
    utterances: list[utterance.Utterance] = []
    found = []
    for name in params.data.corpora:
        scan = corpus.scan(folder, name, params.data.calm)
        utterances += scan.utterances
        found.append(corpus.summarise(corpus.read_card(folder, name), scan, params.data.calm))
    for manifest in params.data.manifests:
        source, scan = csv_manifest.scan(params.paths.data / "manifests", manifest.name, manifest.labels)
        utterances += scan.utterances
        found.append(corpus.summarise_manifest(source, scan))
    return utterances, found


def _spoken(params: config.Params, utterances: list[utterance.Utterance], store: Path) -> list[dict[str, Any]]:
    measures = decode([(one.utterance, one.clip) for one in utterances], store, params.data.sample_rate,
                      params.validation.silence_dbfs, params.compute.shard_megabytes, params.compute.workers,
                      "decoding speech")
    folders = [params.paths.data / kind for kind in ("corpora", "manifests")]
    rows = [{"utterance": one.utterance, "corpus": one.corpus, "layout": one.layout, "synthetic": int(one.synthetic),
             "path": os.path.relpath(one.path, folders[one.layout == csv_manifest.LAYOUT]), "emotion": one.emotion,
             "speaker": one.speaker, "gender": one.gender, "language": one.language, "intensity": one.intensity,
             "text": one.text, **measure}
            for one, measure in zip(utterances, measures, strict=True)]
    places = partitions.assign(rows, params.partitions)
    return [row | {"partition": place} for row, place in zip(rows, places, strict=True)]


def _noise(params: config.Params, noise: list[recordings.NoiseRecording], store: Path) -> list[dict[str, Any]]:
    measures = decode([(one.recording, Clip(one.path)) for one in noise], store, params.data.sample_rate,
                      params.validation.silence_dbfs, params.compute.shard_megabytes, params.compute.workers,
                      "decoding noise")
    rows = [{"recording": one.recording, "collection": one.collection, "category": one.category,
             "synthetic": int(one.synthetic), "path": os.path.relpath(one.path, params.paths.data / "noise"),
             "source": one.source, **measure} for one, measure in zip(noise, measures, strict=True)]
    places = noise_partitions.assign(rows, params.partitions)
    return [{field: (row | {"partition": place})[field] for field in NOISE_FIELDS}
            for row, place in zip(rows, places, strict=True)]


if __name__ == "__main__":
    run(main)
