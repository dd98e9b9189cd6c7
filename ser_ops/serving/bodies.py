"""What a request brings: recordings as files, of any format that the door reads, or samples as numbers."""

import json
import shutil
from array import array
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from uuid import uuid4

import numpy as np
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from ser_ops.audio.admission import FORMATS, check_rate
from ser_ops.config.services import Serve
from ser_ops.errors import UserError
from ser_ops.inference.recogniser import Answering, Recogniser
from ser_ops.terminal import excerpt

JSON_BYTES = 2**21      # while JSON is read nothing else runs: 2 MiB take some 20 ms
MEGABYTE = 2**20
_SAMPLES = '{"samples": [0.0, 0.1], "sample_rate": 16000, "name": "a"}'
_SUFFIXES = {"audio/wav": ".wav", "audio/x-wav": ".wav", "audio/wave": ".wav", "audio/vnd.wave": ".wav",
             "audio/flac": ".flac", "audio/x-flac": ".flac", "audio/ogg": ".ogg", "audio/opus": ".opus",
             "audio/mpeg": ".mp3", "audio/mp3": ".mp3", "audio/mp4": ".m4a", "audio/x-m4a": ".m4a", "audio/aac": ".aac",
             "audio/webm": ".webm", "video/webm": ".webm", "video/mp4": ".mp4", "audio/amr": ".amr",
             "audio/3gpp": ".3gp", "video/3gpp": ".3gp",
             "application/octet-stream": ".wav", "": ".wav"}    # its content alone says what it is


class Refusal(HTTPException):
    """A request that is not looked at further: a status and one line."""


class NoRoom(UserError):
    """A recording that this machine has no room to decode: no fault of who sent it; reason: what the system said."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: this service has no room for it now ({reason}): try again later")
        self.reason = reason


@dataclass(frozen=True)
class File:
    """A recording that was sent as a file: its name for people, its suffix, its bytes."""

    name: str
    suffix: str
    content: IO[bytes]

    def steps(self, recogniser: Recogniser, folder: Path, longest: float) -> Answering:
        """Its answer, step by step, without a word of where it lay; folder: for a copy that a decoder can open."""
        path = folder / f"{uuid4().hex}{self.suffix}"
        try:
            self._copy(path)
            answer = yield from recogniser.answering_file(path, longest=longest)
        except NoRoom:
            raise
        except UserError as error:
            raise UserError(str(error).replace(str(path), self.name)) from error
        finally:
            path.unlink(missing_ok=True)
            self.content.close()
        return answer

    def _copy(self, path: Path) -> None:
        try:
            self.content.seek(0)
            with path.open("wb") as target:
                shutil.copyfileobj(self.content, target, MEGABYTE)
        except OSError as error:
            raise NoRoom(self.name, error.strerror or str(error)) from error


@dataclass(frozen=True)
class Samples:
    """A recording that was sent as numbers: its name for people, and all that was said of it.

    words: whether true, false or null may stand among its samples.
    """

    name: str
    said: Any
    words: bool

    def steps(self, recogniser: Recogniser, folder: Path, longest: float) -> Answering:
        """Its answer, step by step."""
        check_fields(self.name, self.said, _SAMPLES)
        rate = sample_rate_of(self.name, self.said["sample_rate"])
        samples = self._numbers()
        if len(samples) > longest * rate:
            raise UserError(f"{self.name}: lasts more than {longest:g} s, the most that is answered here: cut it into "
                            "parts")
        return (yield from recogniser.answering(samples, rate, self.name))

    def _numbers(self) -> np.ndarray:
        """The samples, float32 (n,). Raises UserError where one of them is no number."""
        given = self.said["samples"]
        if not isinstance(given, list):
            raise UserError(f"{self.name}: samples: {_shown(given)} is no list: give numbers, as [0.0, ...]")
        try:
            samples = np.frombuffer(array("f", given), np.float32)      # numpy itself would take "0.1" and null
        except (TypeError, OverflowError):
            samples = None
        if samples is None or self.words:       # true is 1 to both
            for number, value in enumerate(given):
                if type(value) not in (int, float):
                    raise UserError(f"{self.name}: sample {number} is {_shown(value)}: give mono samples, all numbers")
        if samples is None:
            raise UserError(f"{self.name}: holds whole numbers beyond any sample: give floats in [-1, 1]")
        return samples


def check_fields(name: str, said: Any, form: str) -> None:
    """Raise UserError, which names the fault, for what is no JSON object with fields of `form`, or has others.

    form: an example with all of them; those that may be missing stand behind sample_rate.
    """
    fields = list(json.loads(form))
    if not isinstance(said, dict):
        raise UserError(f"{name}: {_shown(said)} is no object: give {form}")
    for field in fields[:fields.index("sample_rate") + 1]:
        if field not in said:
            raise UserError(f"{name}: {field} is missing: give {form}")
    for field in said:
        if field not in fields:
            raise UserError(f"{name}: {excerpt(field, 40)} is no field: give {form}")


def sample_rate_of(name: str, said: Any) -> int:
    """A sample rate in JSON, in hertz. Raises UserError for what is no whole number, and for one out of bounds.

    >>> sample_rate_of("a", 16000.0)
    16000
    """
    if type(said) is not int and not (type(said) is float and said.is_integer()):
        raise UserError(f"{name}: sample_rate: {_shown(said)} is no whole number of hertz: give one, as 16000")
    check_rate(name, int(said))
    return int(said)


def _shown(said: Any) -> str:
    return excerpt(json.dumps(said), 40)


class _Counted(Request):
    """A request whose body may have so many bytes."""

    def __init__(self, request: Request, limit: float) -> None:
        super().__init__(request.scope, request.receive)
        self.limit, self.size, self.end = int(limit), 0, b""

    async def stream(self) -> AsyncIterator[bytes]:     # type: ignore[override]
        async for chunk in super().stream():
            self.size += len(chunk)
            if self.size > self.limit:
                raise _too_large(self.limit)
            self.end = (self.end + chunk)[-8:]
            yield chunk


def _too_large(limit: float) -> Refusal:
    return Refusal(413, f"the body has more than {limit / MEGABYTE:g} MB, the most that is taken here: send less, or a "
                   "compressed recording")


def body_limit(request: Request, serve: Serve) -> float:
    """Bytes that the body of a request may have. Raises Refusal for one that says that it has more."""
    limit = JSON_BYTES if _type_of(request.headers) == "application/json" else serve.body_megabytes * MEGABYTE
    promised = request.headers.get("content-length", "")
    if promised.isdigit() and int(promised) > limit:
        raise _too_large(limit)
    return limit


async def read_body(request: Request, serve: Serve, limit: float) -> list[File | Samples]:
    """The recordings of a request: multipart/form-data with files, JSON with samples, or the bytes of one recording.

    Raises Refusal, 413 or 422, for a body that is too large or holds no recording, 415 for another type, 507 where this
    machine has no room for it.
    """
    counted, kind = _Counted(request, limit), _type_of(request.headers)
    try:
        if kind == "multipart/form-data":
            recordings: list[File | Samples] = await _files(counted, serve)
        elif kind == "application/json":
            recordings = _samples(b"".join([chunk async for chunk in counted.stream()]))
        else:
            recordings = [await _raw(counted, kind, serve)]
    except ClientDisconnect as error:
        raise Refusal(400, "the body ends before its end") from error
    except OSError as error:        # large parts wait on the disk
        raise Refusal(507, str(NoRoom("the body", error.strerror or str(error)))) from error
    if not recordings:
        raise Refusal(422, "no recording in the body: send files, samples or the bytes of one")
    if len(recordings) > serve.recordings:
        raise Refusal(413, _too_many(serve))
    return recordings


def _too_many(serve: Serve) -> str:
    return f"more than {serve.recordings} recordings in a request: send them in several"


def _type_of(said: Headers) -> str:
    """The type that headers of a request or of a part of a form say, without its parameters."""
    return said.get("content-type", "").partition(";")[0].strip().lower()


async def _files(request: _Counted, serve: Serve) -> list[File | Samples]:
    try:
        form = await request.form(max_files=serve.recordings, max_fields=1, max_part_size=MEGABYTE)
    except Refusal:
        raise
    except HTTPException as error:
        if "Too many files" in error.detail:
            raise Refusal(413, _too_many(serve)) from error
        raise Refusal(422, f"the form cannot be read: {excerpt(error.detail)}") from error
    if not request.end.rstrip().endswith(b"--"):    # what its last part held was left out in silence
        raise Refusal(422, "the form cannot be read: it ends before its end")
    files = list[File | Samples]()
    for key, value in form.multi_items():
        if not isinstance(value, UploadFile):
            raise Refusal(422, f"{excerpt(key, 40)}: is no file: give it a file name, or send samples as JSON")
        name = excerpt(value.filename or key, 200)
        files.append(File(name, _suffix(name, _type_of(value.headers)), value.file))
    return files


def _suffix(name: str, kind: str) -> str:
    """The suffix of a file name, shortened; else that of its type, as a browser names no file that it recorded.

    Without either its content alone says what it is. The door says of a suffix that it does not take which it takes.

    >>> _suffix("a.MP3", "audio/wav"), _suffix("blob", "audio/webm"), _suffix("-", "text/plain"), _suffix("a.txt", "")
    ('.MP3', '.webm', '.wav', '.txt')
    """
    return Path(name.replace("/", "_").replace("\0", "")).suffix[:10] or _SUFFIXES.get(kind, _SUFFIXES[""])


async def _raw(request: _Counted, kind: str, serve: Serve) -> File:
    if kind not in _SUFFIXES:
        raise Refusal(415, f"{excerpt(kind, 60)}: is no type of a recording: send multipart/form-data with files "
                      f"({', '.join(FORMATS)}), application/json with samples, or {', '.join(filter(None, _SUFFIXES))}")
    content: IO[bytes] = SpooledTemporaryFile(max_size=int(serve.long_megabytes * MEGABYTE))    # noqa: SIM115
    async for chunk in request.stream():
        content.write(chunk)
    return File("recording", _SUFFIXES[kind], content)


def _samples(body: bytes) -> list[File | Samples]:
    """{"samples": [...], "sample_rate": 16000, "name": "a"}, or several as {"recordings": [...]}."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(422, f"the body is no JSON: {excerpt(error)}") from error
    several = isinstance(content, dict) and "recordings" in content
    rows = content["recordings"] if several else [content]
    if not isinstance(content, dict) or not isinstance(rows, list) or (several and len(content) > 1):
        raise Refusal(422, f'the body holds no recordings: give {_SAMPLES}, or several as {{"recordings": [...]}} and '
                      "nothing beside")
    words = b"u" in body or b"f" in body      # of true, false and null: our fields are written without either
    return [Samples(_name(row, f"recording {number}"), row, words) for number, row in enumerate(rows)]


def _name(row: Any, default: str) -> str:
    return excerpt(row.get("name", default) if isinstance(row, dict) else default, 200)
