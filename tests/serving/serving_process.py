"""`ser-ops serve` as a process of its own, and what talks to it."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import soundfile
import yaml
from project_copy import change_settings, write_settings

PROJECT = Path(__file__).resolve().parents[2]

RATE = 16000


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    """A tone that glides, with noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    tone = 0.3 * np.sin(2 * np.pi * (150 + 200 * np.sin(time + seed)) * time)
    return (tone + np.random.default_rng(seed).normal(0, 0.02, len(time))).astype(np.float32)


def wav(samples: np.ndarray, kind: str = "WAV") -> bytes:
    """A file of samples."""
    file = BytesIO()
    soundfile.write(file, samples, RATE, format=kind)
    return file.getvalue()


def multipart(files: list[tuple[str, bytes]], kind: str = "") -> tuple[bytes, str]:
    """A form with files, each of a kind where one is given: its bytes and its type."""
    said = f"\r\nContent-Type: {kind}" if kind else ""
    parts = [f'--limit\r\nContent-Disposition: form-data; name="files"; filename="{name}"{said}\r\n\r\n'.encode()
             + content + b"\r\n" for name, content in files]
    return b"".join(parts) + b"--limit--\r\n", "multipart/form-data; boundary=limit"


@dataclass(frozen=True)
class Answered:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A running `ser-ops serve`."""

    process: subprocess.Popen
    address: str

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=120)

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "", **headers: str) -> Answered:
        connection = self.connection()
        connection.request(method, path, body, headers | ({"Content-Type": kind} if kind else {}))
        answer = connection.getresponse()
        answered = Answered(answer.status, answer.headers, answer.read())
        connection.close()
        return answered

    def predict(self, body: bytes, kind: str, **headers: str) -> Answered:
        return self.ask("POST", "/v1/predict", body, kind, **headers)

    def half_asked(self, body: bytes) -> http.client.HTTPConnection:
        """A request that is let in and waits for the second half of its body."""
        connection = self.connection()
        connection.putrequest("POST", "/v1/predict")
        connection.putheader("Content-Type", "audio/wav")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:len(body) // 2])
        return connection

    def metric(self, name: str) -> float:
        lines = self.ask("GET", "/metrics").body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def until(holds: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


@contextmanager
def running(folder: Path, *options: str, **environment: str) -> Iterator[Server]:
    """`ser-ops serve` in a folder with params.yaml, until the block ends or it does."""
    process = subprocess.Popen([sys.executable, "-m", "ser_ops.cli", "serve", "--port", "0", *options], cwd=folder,
                               stdout=subprocess.PIPE, stderr=(folder / "log").open("w"), text=True,
                               env=os.environ | {"PYTHONPATH": str(PROJECT)} | environment)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert " answers on http" in line, (folder / "log").read_text()
        yield Server(process, line.split()[-1])
    finally:
        process.terminate()
        process.wait(30)


def settings(folder: Path, **serve: Any) -> Path:
    """A folder with params.yaml, small limits and a store of its own."""
    folder.mkdir(exist_ok=True)
    write_settings(folder, yaml.safe_load((PROJECT / "params.yaml").read_text()))
    change_settings(folder, compute={"device": "cpu"}, serve={
        "queue": 3, "long_queue": 1, "body_megabytes": 2, "recordings": 3, "seconds": 10, "live_sessions": 1,
        "live_wait": 3600, "watch": 0.1, **serve})
    return folder
