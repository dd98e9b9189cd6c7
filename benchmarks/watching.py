"""What `ser-ops watch` finds and how often it is wrong, on the embedded synthetic corpus.

    python -m benchmarks.watching [--page docs/results/watching.md] [--weeks 200] [--draws 20]

Run in a workspace that has run up to `train`. Records of every validation and test clip, clean, in each cell of the
noise grid and with planted changes, are made once and kept in work/benchmarks. Weeks are drawn from them:
so many clips, each in one condition, are a week, and all others the reference. Settings are section
`watch` of params.yaml. Prints tables in Markdown, and writes them below the line of marks of a page.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops.config.model_json import fingerprint
from ser_ops.config.params import Params, load_params
from ser_ops.config.services import Watch
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation.metrics import scores
from ser_ops.evaluation.predictions import CLEAN, noise_grid
from ser_ops.files import write_text
from ser_ops.inference.recogniser import Recogniser
from ser_ops.manifest import VariantRow, unaltered, validated_noise
from ser_ops.noise.mixing import Mixer
from ser_ops.progress.spreading import progress_bar, use_one_thread
from ser_ops.seeds import generator
from ser_ops.shards import Shards
from ser_ops.watch.drift import drifts
from ser_ops.watch.expected import calibrated, estimated_uar
from ser_ops.watch.records import Records, record_of
from ser_ops.watch.reference import Reference, read_reference, write_reference

NUMBERS = (50, 75, 100, 150, 200)    # of recordings in a week
SPEAKERS = 3        # who speak alone in a week of another share of speakers
FOUND = 0.95        # share of weeks in which a change must be seen
MARK = "<!-- below: python -m benchmarks.watching --page docs/results/watching.md -->"
UNCHANGED = "none"


def _microphone(samples: np.ndarray) -> np.ndarray:
    """As a cheap microphone hears: 200 to 3,500 Hz, Butterworth of second order."""
    from scipy.signal import butter, sosfilt
    return sosfilt(butter(2, [200, 3500], "bandpass", fs=16000, output="sos"), samples).astype(np.float32)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    UNCHANGED: lambda samples: samples, "other microphone": _microphone,
    "gain 26 dB lower": lambda samples: samples * np.float32(0.05),
    "gain 18 dB higher, clipped": lambda samples: (samples * 8).clip(-1, 1)}


@dataclass(frozen=True)
class Pool:
    """Labelled records with the kind of noise of each, the planted change, and whether it is of a usual week: clean, or
    in one of the conditions drawn for its clip.
    """

    labelled: Reference
    kind: np.ndarray
    change: np.ndarray
    usual: np.ndarray


def make_records(params: Params) -> list[dict[str, Any]]:
    """Records of every clip in every cell, and in its usual conditions with each change."""
    work, name = params.paths.work, params.train.model
    rows: list[VariantRow] = [*unaltered(work, "validation"), *unaltered(work, "test")]
    noise, waveforms = validated_noise(work), Shards(work / "ingest" / "waveforms")
    mixer = Mixer(Shards(work / "ingest" / "noise"), noise)
    grid = [condition for condition in noise_grid(noise, params.evaluate) if condition.seed == params.evaluate.seeds[0]]
    folder = work / "models" / name
    recogniser, digest = Recogniser(folder, "cpu", embeddings=True), fingerprint(folder)
    speakers = {speaker: number for number, speaker in enumerate(sorted({row.speaker for row in rows}))}
    records = list[dict[str, Any]]()
    for clip, row in enumerate(progress_bar(rows, "records", len(rows), "clip")):
        drawn = generator(params.watch.seed, "usual", row.utterance).permutation(len(grid))[:params.watch.mixtures]
        for number, condition in enumerate([CLEAN, *grid], -1):
            usual, samples, snr = number < 0 or number in drawn, waveforms[row.utterance], float("nan")
            if not condition.clean:
                mixture = mixer(row.utterance, samples, condition.noise, condition.intensity, condition.seed or 0,
                                row.partition)
                samples, snr = mixture.samples, mixture.snr_db
            for change, alter in CHANGES.items():
                if usual or change == UNCHANGED:
                    answer = recogniser.answer(alter(samples), recogniser.sample_rate, cleaned=True)
                    records.append(record_of(answer, digest) | {
                        "id": f"{change}/{usual}", "time": len(records), "emotion": row.emotion, "clip": clip,
                        "speaker": speakers[row.speaker], "condition": condition.cell, "true_snr_db": snr})
    return records


def read_pool(path: Path) -> Pool:
    labelled = read_reference(path)
    parts = np.array([name.split("/") for name in labelled.records.ids.tolist()])
    kinds = np.array([cell.split("@")[0] for cell in labelled.conditions.tolist()])
    return Pool(labelled, kinds, parts[:, 0], parts[:, 1] == "True")


def is_alarm(reference: Reference, week: Records, settings: Watch) -> bool:
    """Whether a week changed, or is expected to be worse, as `ser_ops.watch.periods` decides it."""
    if any(test.drifted for test in drifts(reference.one_of_each_clip(settings.seed), week, settings)):
        return True
    spoken = week.of(week.spoken)
    chances = calibrated(reference, np.ones(len(reference)), spoken.probabilities)
    before = scores(reference.true, reference.records.predicted)["uar"]
    return estimated_uar(chances, spoken.predicted) < before - settings.largest_drop


Change = Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def planted(pool: Pool) -> Iterator[tuple[str, Change]]:
    """Name and change: from the mask of a week's clips to the masks of the reference's records and of the week's."""
    usual = pool.usual & (pool.change == UNCHANGED)
    for kind in sorted(set(pool.kind) - {CLEAN.noise}):
        def noise(clips: np.ndarray, draw: np.random.Generator, kind: str = kind) -> tuple[np.ndarray, np.ndarray]:
            every = (pool.change == UNCHANGED) & (pool.kind == kind)
            return usual & ~clips & (pool.kind != kind), clips & (every | usual & (pool.kind == CLEAN.noise))
        yield f"other noise: {kind.replace('_', ' ')}", noise
    for name in sorted(CHANGES.keys() - {UNCHANGED}):
        def sound(clips: np.ndarray, draw: np.random.Generator, name: str = name) -> tuple[np.ndarray, np.ndarray]:
            return usual & ~clips, clips & (pool.change == name)
        yield name, sound
    for index, emotion in enumerate(EMOTIONS):
        def vanishes(clips: np.ndarray, draw: np.random.Generator, index: int = index) -> tuple[np.ndarray, np.ndarray]:
            return usual & ~clips, usual & clips & (pool.labelled.true != index)
        yield f"{emotion} vanishes", vanishes

    def speakers(clips: np.ndarray, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        some = draw.permutation(np.unique(pool.labelled.speakers))[:SPEAKERS]
        return usual & ~clips, usual & clips & np.isin(pool.labelled.speakers, some)
    yield f"{SPEAKERS} speakers alone", speakers


def drawn_week(pool: Pool, change: Change, number: int, draw: np.random.Generator) -> tuple[Reference, Records]:
    """A week of so many clips, each in one condition, and a reference of all others, in their usual conditions."""
    clips, seed = np.zeros(pool.labelled.clips.max() + 1, bool), int(draw.integers(2**32))
    _, possible = change(np.ones(len(pool.labelled), bool), generator(seed, "change"))
    clips[draw.permutation(np.unique(pool.labelled.clips[possible]))[:number]] = True
    reference, week = change(clips[pool.labelled.clips], generator(seed, "change"))
    return pool.labelled.of(reference), pool.labelled.of(week).one_of_each_clip(seed)


def quiet_weeks(pool: Pool, weeks: int, settings: Watch) -> str:
    """False alarms of weeks that hold what the reference holds, by the number of recordings; and of other speakers."""
    usual = pool.usual & (pool.change == UNCHANGED)
    lines = ["| recordings in a week | weeks | false alarms |", "| --- | --- | --- |"]
    for number in (NUMBERS[0], 100, NUMBERS[-1]):
        draw = generator(settings.seed, "quiet", str(number))
        alarms = [is_alarm(*drawn_week(pool, lambda clips, _: (usual & ~clips, usual & clips), number, draw), settings)
                  for _ in progress_bar(range(weeks), f"{number} quiet", weeks, "week")]
        lines.append(f"| {number} | {weeks} | {np.mean(alarms):.1%} |")
    draw, names = generator(settings.seed, "strangers"), np.unique(pool.labelled.speakers)
    alarms = []
    for _ in range(weeks // 4):
        others = usual & np.isin(pool.labelled.speakers, draw.permutation(names)[:len(names) // 2])
        week = pool.labelled.of(others).one_of_each_clip(settings.seed)
        week = week.of(draw.permutation(len(week))[:100])
        alarms.append(is_alarm(pool.labelled.of(usual & ~others), week, settings))
    lines.append(f"| 100, of speakers whom the reference never heard | {weeks // 4} | {np.mean(alarms):.1%} |")
    return "\n".join(lines)


def found_changes(pool: Pool, draws: int, settings: Watch) -> str:
    """The share of weeks in which each planted change is seen, up to the number of recordings from which it is.

    A cell is empty too where the corpus has fewer clips for such a week.
    """
    lines = [f"| planted change | {' | '.join(f'{number} recordings' for number in NUMBERS)} |",
             f"| --- |{' --- |' * len(NUMBERS)}"]
    for name, change in progress_bar(list(planted(pool)), "planted", unit="change"):
        shares = list[str]()
        for number in NUMBERS:
            draw = generator(settings.seed, name, str(number))
            weeks = [drawn_week(pool, change, number, draw) for _ in range(draws)]
            if any(len(week) < number for _, week in weeks):    # three speakers have no more clips
                break
            share = np.mean([is_alarm(reference, week, settings) for reference, week in weeks])
            shares.append(f"{share:.0%}")
            if share >= FOUND:
                break
        lines.append(f"| {name} | {' | '.join([*shares, *[''] * (len(NUMBERS) - len(shares))])} |")
    return "\n".join(lines)


def expected_cells(pool: Pool, settings: Watch) -> str:
    """Expected and true UAR of each cell, by references without its kind of noise and without the speaker answered."""
    plain, names = pool.change == UNCHANGED, np.unique(pool.labelled.speakers)
    lines, errors = ["| cell | recordings | true UAR | expected | error |", "| --- | --- | --- | --- | --- |"], []
    for kind in sorted(set(pool.kind) - {CLEAN.noise}):
        draw = generator(settings.seed, "cells", kind)
        references = {}
        for name in names:
            known = np.flatnonzero(plain & (pool.labelled.speakers != name) & (pool.kind != kind))
            references[name] = pool.labelled.of(_few_of_each(known, pool, settings.mixtures, draw))
        for cell in sorted(set(pool.labelled.conditions[pool.kind == kind].tolist())):
            here = plain & (pool.labelled.conditions == cell) & pool.labelled.records.spoken
            chances = np.zeros((len(here), len(EMOTIONS)))
            for name, reference in references.items():
                own = here & (pool.labelled.speakers == name)
                chances[own] = calibrated(reference, np.ones(len(reference)),
                                          pool.labelled.records.probabilities[own])
            predicted = pool.labelled.records.predicted[here]
            true = scores(pool.labelled.true[here], predicted)["uar"]
            expected = estimated_uar(chances[here], predicted)
            errors.append(abs(expected - true))
            lines.append(f"| {cell} | {here.sum()} | {true:.3f} | {expected:.3f} | {expected - true:+.3f} |")
    within = np.mean(np.array(errors) <= 0.05)
    return "\n".join([*lines, "", f"Mean absolute error {np.mean(errors):.3f}, largest {np.max(errors):.3f}; "
                      f"{within:.0%} of {len(errors)} cells within 0.05."])


def _few_of_each(known: np.ndarray, pool: Pool, mixtures: int, draw: np.random.Generator) -> np.ndarray:
    """Of the records of each clip the clean one and as many noisy ones as a reference holds."""
    chosen = list[int]()
    for clip in np.unique(pool.labelled.clips[known]):
        own = known[pool.labelled.clips[known] == clip]
        noisy = pool.kind[own] != CLEAN.noise
        chosen += [*own[~noisy], *draw.permutation(own[noisy])[:mixtures]]
    return np.array(chosen)


def snr_errors(pool: Pool) -> str:
    """Error of the estimated SNR, in dB, by kind of noise."""
    error = pool.labelled.records.figure("snr_db") - pool.labelled.snr_db
    known = (pool.change == UNCHANGED) & np.isfinite(error)
    lines = ["| noise | mixtures | mean error, dB | mean absolute | median absolute |",
             "| --- | --- | --- | --- | --- |"]
    for kind in [*sorted(set(pool.kind[known].tolist())), "all"]:
        own = error[known & ((pool.kind == kind) | (kind == "all"))]
        lines.append(f"| {kind.replace('_', ' ')} | {len(own)} | {own.mean():+.1f} | {np.abs(own).mean():.1f} | "
                     f"{np.median(np.abs(own)):.1f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the page where one is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, help="a page with the line of marks, below which the tables go")
    parser.add_argument("--weeks", type=int, default=200, help="quiet ones, of each number of recordings")
    parser.add_argument("--draws", type=int, default=20, help="weeks of each change and number of recordings")
    chosen = parser.parse_args(arguments)
    use_one_thread()
    params = load_params()
    path = params.paths.work / "benchmarks" / "watching.parquet"
    if not path.is_file():
        write_reference(path, make_records(params))
    pool, settings = read_pool(path), params.watch
    written = "\n\n".join(f"## {title}\n\n{table}" for title, table in (
        ("Planted changes", found_changes(pool, chosen.draws, settings)),
        ("Quiet weeks", quiet_weeks(pool, chosen.weeks, settings)),
        ("Expected UAR in noise that the reference never held", expected_cells(pool, settings)),
        ("Estimated SNR", snr_errors(pool))))
    print(written)
    if chosen.page:
        head = chosen.page.read_text(encoding="utf-8").split(MARK)[0]
        write_text(chosen.page, f"{head}{MARK}\n\n{written}\n")


if __name__ == "__main__":
    main()
