"""`ser-ops serve` beside the bare batched loop and `mlflow models serve`, in one run: python -m benchmarks.serving

Clips of 3 s, made here. Run in the project's top folder, on a machine that does nothing else. Ends with 1 where a bar
is missed.
"""

import argparse
import asyncio
import json
import multiprocessing
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import soundfile

from benchmarks.serving import servers
from benchmarks.serving.load import Measured, Target, ask_about, closed, http, opened, probed
from ser_ops.config.params import Params, load_params, load_preset
from ser_ops.errors import UserError
from ser_ops.files import write_text
from ser_ops.models.architectures import build
from ser_ops.models.model_folder import save
from ser_ops.tracking.package import package_model

CLIENTS, RATE, SECONDS, CLIPS = 16, 16000, 3.0, 64
SHARE_OF_BARE, P95_MS, SLOWER, HEALTH_MS, GROWN = 0.8, 150.0, 2.0, 100.0, 1.05     # the bars


@dataclass(frozen=True)
class Row:
    """One figure, what was asked of it, and whether it holds; None where nothing was asked."""

    what: str
    figure: str
    asked: str = ""
    holds: bool | None = None


def main() -> int:
    """Print the table; 0 when every bar holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="its folder; by default a fusion of preset small, random weights")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="bare loop and server by turns")
    parser.add_argument("--long", type=int, default=60, help="minutes of the long recording")
    parser.add_argument("--requests", type=int, default=10_000, help="over which memory is to stay flat")
    parser.add_argument("--out", type=Path, help="a file for the table")
    asked, params = parser.parse_args(), load_params()
    with tempfile.TemporaryDirectory(prefix="ser-ops-serving-") as scratch:
        folder = Path(scratch)
        model = asked.model or folder / "model"
        if asked.model is None:
            save(model, build("fusion", load_preset("small"), seed=1), {"preset": "small"})
        clips = made_clips(folder / "clips")
        rows = list(measured(params, model, clips, folder, asked))
    table = "\n".join(["| what | measured | asked |", "| --- | --- | --- |", *(
        f"| {row.what} | {row.figure} | {row.asked}{': NO' if row.holds is False else ''} |" for row in rows)])
    if asked.out:
        write_text(asked.out, table + "\n")
    print(table)
    return 0 if all(row.holds is not False for row in rows) else 1


def made_clips(folder: Path) -> Path:
    """Clips of 3 s: a voice-like tone that glides, and noise."""
    folder.mkdir()
    time = np.arange(round(SECONDS * RATE)) / RATE
    for number in range(CLIPS):
        tone = 0.3 * np.sin(2 * np.pi * (120 + 3 * number + 50 * np.sin(time)) * time)
        soundfile.write(folder / f"{number:02d}.wav",
                        tone + np.random.default_rng(number).normal(0, 0.02, len(time)), RATE)
    return folder


def measured(params: Params, model: Path, clips: Path, folder: Path, asked: argparse.Namespace) -> Iterator[Row]:
    """All rows, one after another, as they are measured."""
    bodies = [file.read_bytes() for file in sorted(clips.glob("*.wav"))]
    requests = [http("/v1/predict", body, "audio/wav") for body in bodies]
    with servers.ours(model) as (port, process):
        target = Target(port, requests, lambda answer: "emotion" in answer["results"][0])
        asyncio.run(closed(target, CLIENTS, 5.0))   # warms up
        bare, ours, costs = list[float](), list[Measured](), list[float]()
        bare_costs = list[float]()
        for _ in range(asked.rounds):
            rate, cost = bare_loop(model, clips, params.serve.batch_size, asked.seconds)
            bare.append(rate)
            bare_costs.append(cost)
            print(f"bare loop: {rate:.1f} a second", file=sys.stderr, flush=True)
            busy = processor_seconds(process)
            ours.append(asyncio.run(closed(target, CLIENTS, asked.seconds)))
            costs.append(1000 * (processor_seconds(process) - busy) / max(1, len(ours[-1].latencies)))
            print(f"served: {ours[-1].rate:.1f} a second", file=sys.stderr, flush=True)
        shares = [measure.rate / rate for measure, rate in zip(ours, bare, strict=True)]
        yield Row("bare loop, answers a second", f"{median(bare):.1f}")
        yield Row("`ser-ops serve`, 16 clients, answers a second", f"{median(run.rate for run in ours):.1f}")
        yield Row("its share of the bare loop, by rounds", ", ".join(f"{share:.2f}" for share in shares),
                  f"{SHARE_OF_BARE}", median(shares) >= SHARE_OF_BARE)
        yield Row("processor ms of an answer, bare and served", f"{median(bare_costs):.1f}, {median(costs):.1f}")
        yield Row("p50, p95 at 16 clients", ", ".join(f"{ours[-1].quantile(q):.0f} ms" for q in (0.5, 0.95)))
        half = median(run.rate for run in ours) / 2
        quiet = asyncio.run(opened(target, half, asked.seconds, seed=1))
        yield Row(f"p95 at half load ({half:.0f} a second, Poisson)", f"{quiet.quantile(0.95):.0f} ms",
                  f"{P95_MS:g} ms", quiet.quantile(0.95) < P95_MS)
        beside, health, took = asyncio.run(beside_a_long_one(target, half, long_recording(folder, asked.long)))
        yield Row(f"p95 of short ones beside one of {asked.long} minutes (which took {took:.0f} s)",
                  f"{beside.quantile(0.95):.0f} ms, {beside.quantile(0.95) / quiet.quantile(0.95):.2f} times",
                  f"{SLOWER:g} times", beside.quantile(0.95) <= SLOWER * quiet.quantile(0.95))
        yield Row("slowest /healthz meanwhile", f"{health.quantile(1.0):.0f} ms", f"{HEALTH_MS:g} ms",
                  health.quantile(1.0) < HEALTH_MS)
        flat, before, after = list[Measured](), 0.0, 0.0
        for number in range(10):
            flat.append(asyncio.run(closed(target, CLIENTS, requests=asked.requests // 10)))
            before, after = (after if number == 1 else before), servers.megabytes(process)
        yield Row(f"memory after {asked.requests // 10:,} and {asked.requests:,} requests",
                  f"{before:.0f} MB, {after:.0f} MB", f"{GROWN:g} times", after <= GROWN * before)
        faults = [error for run in (*ours, quiet, beside, health, *flat) for error in run.errors]
        yield Row("errors", f"{len(faults)}{': ' + faults[0] if faults else ''}", "0", not faults)
    with servers.mlflows(package_model(params, model, folder / "package")) as (port, process):
        tables = [{"dataframe_split": {"columns": ["waveform", "sample_rate"], "data": [
            [soundfile.read(file)[0].tolist(), RATE]]}} for file in sorted(clips.glob("*.wav"))[:CLIENTS]]
        target = Target(port, [http("/invocations", json.dumps(table).encode(), "application/json")
                               for table in tables], lambda answer: "emotion" in answer["predictions"][0])
        asyncio.run(closed(target, 1, 5.0))
        theirs = asyncio.run(closed(target, CLIENTS, asked.seconds))
        yield Row("`mlflow models serve`, 16 clients, answers a second; p95",
                  f"{theirs.rate:.1f}; {theirs.quantile(0.95):.0f} ms; {len(theirs.errors)} errors")


def bare_loop(model: Path, clips: Path, batch: int, seconds: float) -> tuple[float, float]:
    """Recordings a second, and processor milliseconds of each, in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.serving.bare", str(model), str(clips), str(batch),
                           str(seconds)], stdout=subprocess.PIPE, text=True, check=True)
    rate, cost = map(float, done.stdout.split())
    return rate, cost


def processor_seconds(process: psutil.Process) -> float:
    """That a server has used so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def long_recording(folder: Path, minutes: int) -> Path:
    """A recording of so many minutes."""
    path, minute = folder / "long.wav", np.random.default_rng(0).normal(0, 0.1, 60 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        for _ in range(minutes):
            file.write(minute)
    return path


async def beside_a_long_one(target: Target, rate: float, long: Path) -> tuple[Measured, Measured, float]:
    """Short recordings and health checks while a long recording is answered, and the seconds that took."""
    over, short = asyncio.Event(), Measured()
    # In a process of its own: sending a hundred megabytes would hold up the other clients of this one.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as another:
        health = asyncio.create_task(probed(target.port, "/healthz", over))
        asking = asyncio.get_running_loop().run_in_executor(another, ask_about, target.port, long)
        while not asking.done():
            part = await opened(target, rate, 5.0, seed=2)
            short.latencies += part.latencies
            short.errors += part.errors
        over.set()
        took, status, body = await asking
    if status != 200:
        short.errors.append(f"the long one: {status} {body[:200]!r}")
    return short, await health, took


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))
