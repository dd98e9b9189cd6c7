"""Time and memory of each stage at several sizes of the corpus: python -m benchmarks.growth --folder SCRATCH

Run in the project's top folder. The corpora are copies of the recordings that params.yaml names, with a little noise
and new speakers (choices.yaml). Stopped and started again, it goes on with the size that it was at. Ends with 1 when a
stage's time grows faster than the data or its memory with them.
"""

import argparse
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import yaml

from benchmarks.growth import choices, copies, kept, words
from benchmarks.growth.stages import DATA, PROJECT, STAGES, Measured, check_space, measured, settings
from benchmarks.growth.verdict import Growth, extrapolated, growth
from benchmarks.page import around, put
from benchmarks.speed.machine import described
from ser_ops.config.params import Params, load_params
from ser_ops.errors import UserError
from ser_ops.files import write_json


def main() -> int:
    """Measure, judge, write; 0 when nothing grows faster than the data."""
    asked = _arguments()
    if asked.page:
        around(asked.page, "growth")    # a page that will not do is said before the work, not after it
    params, chosen = load_params(), choices.load()
    content = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    first = asked.recordings or chosen.recordings
    sizes = sorted({round(first * size) for size in asked.sizes} | ({asked.check} if asked.extrapolate else set()))
    if asked.extrapolate and (sum(size < asked.check for size in sizes) < 2 or not set(DATA) & set(asked.stages)):
        raise UserError(f"growth: --check {asked.check} is foretold by two smaller sizes of {', '.join(DATA)}: give "
                        "both")
    originals = copies.base(params, first, chosen.seed)
    asked.folder.mkdir(parents=True, exist_ok=True)
    run = {"commit": _commit(), "workers": str(asked.workers), "recordings": str(first),
           "choices": chosen.model_dump_json(), "params": params.model_dump_json()}
    costs = asked.folder / "costs.json"
    points = kept.read(costs, run)
    for size in sizes:
        manifest = copies.manifest(asked.folder, originals, size, chosen.noise_db, chosen.seed)
        speech = copies.seconds(manifest)
        if set(asked.stages) <= {point.stage for point in points if point.recordings == size}:
            continue
        points = [point for point in points if point.recordings != size]
        check_space(asked.folder, params, speech, size)
        made = settings(content, chosen, asked.workers)
        for point in measured(asked.folder / f"workspace-{size}", made, manifest, params.paths.data / "noise", size,
                              chosen.every, asked.stages):
            print(f"{point.stage} of {size}: {point.cost.cpu:.1f} s of processors, {point.cost.wall:.1f} s, peak "
                  f"{point.cost.peak_mb:.0f} MB (load {point.load})", file=sys.stderr, flush=True)
            points.append(point)
        kept.write(costs, run, points)
    wanted = [point for point in points if point.recordings in sizes and point.stage in asked.stages]
    return report(asked, params, chosen, sorted(wanted, key=lambda point: point.recordings), speech / size)


def report(asked: argparse.Namespace, params: Params, chosen: choices.Choices, points: list[Measured],
         each: float) -> int:
    """Print the figures and write them where they were asked for; 1 when something breaks a limit.

    each: seconds of a recording.
    """
    from benchmarks.growth.plot import draw

    machine = {"commit": _commit(), "workers": str(asked.workers), "seconds a recording": f"{each:.2f}", **described()}
    grown: list[Growth] = []
    if len({point.recordings for point in points}) > 2:
        grown = [growth(stage, [point for point in points if point.stage == stage], chosen.limits)
                 for stage in asked.stages]
    parts = [words.table(points, grown, machine)]
    record = {"machine": machine, "costs": [asdict(point) for point in points],
              "growth": [asdict(judged) for judged in grown]}
    if asked.extrapolate:
        stages = [stage for stage in DATA if stage in asked.stages]
        further = extrapolated(points, stages, asked.extrapolate, asked.check)
        parts.append(words.sentence(further, stages))
        record["extrapolation"] = asdict(further) | {"error": further.error, "stages": stages}
    faults = [fault for judged in grown for fault in judged.faults]
    print("\n\n".join([*parts, *faults]))
    write_json(asked.folder / "growth.json", record | {"faults": faults})
    trained = 1 - params.partitions.validation - params.partitions.test
    rows = 1 + trained * (len(params.augment.variants) - 1)
    picture = asked.plot or asked.folder / "growth.png"
    draw(points, rows * each * 4 * params.data.sample_rate / 1e6, picture)
    if asked.page:
        shown = f"![Time and memory by stage over the corpus]({os.path.relpath(picture, asked.page.parent)})"
        put(asked.page, "growth", "\n\n".join([shown, *parts]))
    return 1 if faults else 0


def _commit() -> str:
    described_commit = subprocess.run(["git", "-C", str(PROJECT), "describe", "--always", "--dirty"],
                                      capture_output=True, text=True, check=False)
    return described_commit.stdout.strip() or "unknown"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="a folder with room for the largest size")
    parser.add_argument("--sizes", type=float, nargs="+", default=[1, 4, 16], help="times the first; 1 4 16 by default")
    parser.add_argument("--recordings", type=int, help="at size 1; choices.yaml says it by default")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, metavar="STAGE", help=" ".join(STAGES))
    parser.add_argument("--workers", type=int, default=1, help="compute.workers; 1 by default")
    parser.add_argument("--extrapolate", type=int, help="recordings whose time is predicted from the measured sizes")
    parser.add_argument("--check", type=int, help="the size at which such a prediction is held against a point")
    parser.add_argument("--plot", type=Path, help="where the picture goes; SCRATCH/growth.png by default")
    parser.add_argument("--page", type=Path, help="a page whose part `growth` gets the figures")
    asked = parser.parse_args()
    if asked.extrapolate and not asked.check:
        parser.error("--extrapolate needs --check")
    return asked


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))
