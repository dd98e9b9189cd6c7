"""ingest: every utterance and noise recording found, brought to one rate, measured and partitioned."""

import os
from dataclasses import replace
from pathlib import Path

from ser_ops.audio.admission import Clip
from ser_ops.config.params import Params, load_params
from ser_ops.corpora import corpus, csv_manifest, partitions, utterance
from ser_ops.corpora.decoding import Measures, decode_recordings
from ser_ops.errors import UserError
from ser_ops.files import replacing, write_json
from ser_ops.manifest import NoiseRow, UtteranceRow, columns, write_rows
from ser_ops.noise import recordings
from ser_ops.stages import run
from ser_ops.terminal import print_line


def main() -> None:
    """Write work/ingest: manifest.csv, noise.csv, corpora.json, noise.json, waveforms/ and noise/, or nothing."""
    params = load_params()
    utterances, summaries = _scan(params)
    noise = recordings.scan_noise(params.paths.data / "noise", params.data.noise)
    target = params.paths.work / "ingest"
    with replacing(target) as folder:
        rows = _decode_utterances(params, utterances, folder / "waveforms")
        noise_rows = _decode_noise(params, noise, folder / "noise")
        write_rows(folder / "manifest.csv", rows, UtteranceRow)
        write_rows(folder / "noise.csv", noise_rows, NoiseRow)
        write_json(folder / "corpora.json", {summary.corpus: summary.record() for summary in summaries})
        cards = {name: recordings.NoiseCard.read(params.paths.data / "noise", name) for name in params.data.noise}
        write_json(folder / "noise.json", {name: card.model_dump() for name, card in cards.items()})
    for summary in summaries:
        print_line(summary.sentence())
    recorded: list[UtteranceRow | NoiseRow] = [*rows, *noise_rows]
    refused, warned = sum(bool(row.error) for row in recorded), sum(bool(row.warnings) for row in recorded)
    print(f"{len(rows)} utterances, {len(noise_rows)} noise recordings; {refused} of them are refused, {warned} have a "
          f"warning (columns error and warnings of {target / 'manifest.csv'} and noise.csv)")


def _scan(params: Params) -> tuple[list[utterance.Utterance], list[corpus.CorpusSummary]]:
    names = params.data.names
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"params.yaml: data names {', '.join(sorted(twice))} more than once: give each corpus and "
                        "manifest a name of its own")
    folder = params.paths.data / "corpora"
    utterances: list[utterance.Utterance] = []
    summaries = []
    for name in params.data.corpora:
        scan = corpus.scan_corpus(folder, name, params.data.calm)
        utterances += scan.utterances
        summaries.append(corpus.summarise_corpus(corpus.CorpusCard.read(folder, name), scan, params.data.calm))
    for manifest in params.data.manifests:
        source, scan = csv_manifest.scan_manifest(params.paths.data / "manifests", manifest.name, manifest.labels)
        utterances += scan.utterances
        summaries.append(corpus.summarise_manifest(source, scan))
    return utterances, summaries


def _decode_utterances(params: Params, utterances: list[utterance.Utterance], store: Path) -> list[UtteranceRow]:
    measures = _decode(params, [(spoken.utterance, spoken.clip) for spoken in utterances], store, "decoding speech")
    folders = [params.paths.data / kind for kind in ("corpora", "manifests")]
    rows = [UtteranceRow(spoken.utterance, spoken.corpus, spoken.layout, spoken.synthetic,
                         os.path.relpath(spoken.path, folders[spoken.layout == csv_manifest.MANIFEST_LAYOUT]),
                         spoken.emotion, spoken.speaker, spoken.gender, spoken.language, spoken.intensity, spoken.text,
                         **vars(measured))
            for spoken, measured in zip(utterances, measures, strict=True)]
    return [replace(row, partition=partition)
            for row, partition in zip(rows, partitions.assign_partitions(rows, params.partitions), strict=True)]


def _decode_noise(params: Params, noise: list[recordings.NoiseRecording], store: Path) -> list[NoiseRow]:
    measures = _decode(params, [(sound.recording, Clip(sound.path)) for sound in noise], store, "decoding noise")
    kept = set(columns(NoiseRow))
    rows = [NoiseRow(sound.recording, sound.collection, sound.category, sound.synthetic,
                     os.path.relpath(sound.path, params.paths.data / "noise"), sound.source,
                     **{name: value for name, value in vars(measured).items() if name in kept})
            for sound, measured in zip(noise, measures, strict=True)]
    return [replace(row, partition=partition)
            for row, partition in zip(rows, recordings.assign_noise_partitions(rows, params.partitions), strict=True)]


def _decode(params: Params, clips: list[tuple[str, Clip]], store: Path, what: str) -> list[Measures]:
    """Bring clips, by name, to the project's rate, into `store`; returns what was measured of each."""
    return decode_recordings(clips, store, params.data.sample_rate, params.validation.silence_dbfs,
                             params.compute.shard_megabytes, params.compute.workers, what)


if __name__ == "__main__":
    run(main)
