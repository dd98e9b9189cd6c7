"""Download what lies under an s3:// address: whole, checked, and on from where a killed command was."""

import hashlib
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from ser_ops.config.services import Storage
from ser_ops.errors import UserError
from ser_ops.files import naming_write_errors
from ser_ops.storage.client import Address, connect, s3_errors
from ser_ops.storage.download import Download, ObjectChanged, PartJournal, S3Object

_OTHER_BYTES = "its bytes differ from the store's checksum, twice: upload it again"


@contextmanager
def downloaded(source: str, downloads: Path, limits: Storage) -> Iterator[Path]:
    """A folder below `downloads` with what lies under `source`, or the file where `source` names one object.

    It is removed when the block ends well. What a command downloaded that was killed or failed stays, and the same
    command goes on from there. Raises UserError as `download` does, and where another process downloads the same.
    """
    where = f"{os.environ.get('AWS_ENDPOINT_URL_S3') or os.environ.get('AWS_ENDPOINT_URL')} {source}"
    folder = downloads / hashlib.sha256(where.encode()).hexdigest()[:16]
    with naming_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    address = Address.read(source)
    target = folder / "whole" / address.name
    try:
        with FileLock(folder / "lock", timeout=0):
            files = download(source, target, limits, folder / "parts")
            local = files[0] if files == [target / address.name] else target
            try:
                yield local
            except UserError as error:
                raise UserError(str(error).replace(str(local), source)) from error
            shutil.rmtree(folder, ignore_errors=True)
    except Timeout as error:
        raise UserError(f"{source}: another process is downloading it to {folder}: wait for it or stop it") from error


def download(source: str, folder: Path, limits: Storage, parts_folder: Path) -> list[Path]:
    """Download every object under an s3:// prefix, or the one object it names, into `folder`.

    An object comes in parts, several at once, into `parts_folder`, with a journal of the parts that have come, and
    takes its place in `folder` when all of its bytes are there and fit the digest that the store gives (a checksum
    given at upload, or an ETag that is an MD5). Run again, only what is not here comes, and what changed in the bucket.

    Returns the files' paths. Raises UserError for an address that holds nothing, keys that lead out of the folder,
    credentials that are missing or refused, an endpoint that does not answer `limits.attempts` times, an object that
    changes while it comes or does not fit its digest twice, and a full disk.
    """
    address = Address.read(source)
    with s3_errors(source), naming_write_errors(folder):
        parts_folder.mkdir(parents=True, exist_ok=True)
        client, journal, stopped = connect(limits), PartJournal(parts_folder / "journal"), threading.Event()
        with _Bar(address.bucket) as bar, ThreadPoolExecutor(limits.parallel) as pool:
            downloads = [Download(client, listed, folder / path,
                                  parts_folder / hashlib.sha256(listed.key.encode()).hexdigest(),
                                  journal, limits, bar.move, stopped)
                         for path, listed in _list_objects(client, address, source).items()]
            try:
                _fetch_all(downloads, pool, bar, parts_folder)
            except BaseException:
                stopped.set()
                pool.shutdown(cancel_futures=True)
                raise
        return [transfer.target for transfer in downloads]


class _Bar(tqdm):
    """Bytes, rate and time left; `move` may be called by several threads."""

    def __init__(self, bucket: str) -> None:
        super().__init__(desc=f"from {bucket}", unit="B", unit_scale=True, file=sys.stderr, mininterval=1)
        self._moving = threading.Lock()

    def begin(self, total: int, needed: int) -> None:
        """`total` bytes, of which all but `needed` are here."""
        self.reset(total)
        self.initial = self.n = total - needed
        self.refresh()

    def move(self, size: int) -> None:
        with self._moving:
            self.update(size)


def list_objects(client: Any, address: Address) -> Iterator[S3Object]:
    """Each object under an address, in the order of keys, a thousand a request."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=address.bucket, Prefix=address.prefix)
    for page in pages:
        for entry in page.get("Contents", []):
            if address.holds(entry["Key"]):
                yield S3Object(address.bucket, entry["Key"], entry["Size"], entry["ETag"])


def look_up(client: Any, bucket: str, key: str) -> S3Object:
    """An object as its store has it now. Raises ObjectChanged where it is not there, and what boto3 raises."""
    try:
        about = client.head_object(Bucket=bucket, Key=key)
    except client.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            raise ObjectChanged(f"s3://{bucket}/{key}: is not there: correct the address") from error
        raise
    return S3Object(bucket, key, about["ContentLength"], about["ETag"])


def fetch_object(client: Any, source: S3Object, target: Path, limits: Storage) -> None:
    """Fetch one object to `target`, checked as `download` does; the folder of `target` is for this object alone.

    Raises ObjectChanged where it is no longer the one that was listed or does not fit its digest twice, and otherwise
    as `download` inside of `s3_errors`.
    """
    transfer = Download(client, source, target, target.with_name("partial"), PartJournal(target.with_name("journal")),
                        limits, lambda _: None, threading.Event())
    try:
        for _ in range(2):
            for part in transfer.missing():
                transfer.fetch(part)
            if transfer.finish():
                return
    except client.exceptions.NoSuchKey as error:
        raise ObjectChanged(f"{source}: was removed meanwhile: take it off the list") from error
    raise ObjectChanged(f"{source}: {_OTHER_BYTES}")


def _list_objects(client: Any, address: Address, source: str) -> dict[PurePosixPath, S3Object]:
    """Each object by its path in the folder."""
    objects = list(list_objects(client, address))
    if not objects:
        raise UserError(f"{source}: nothing is there: check the bucket and the prefix")
    by_path: dict[PurePosixPath, S3Object] = {}
    for listed in objects:
        if by_path.setdefault(path := address.relative_path(listed.key), listed) is not listed:
            raise _name_clash(source, path)
    for folder in {folder for path in by_path for folder in path.parents} & by_path.keys():
        raise _name_clash(source, folder)
    return by_path


def _name_clash(source: str, path: PurePosixPath) -> UserError:
    return UserError(f"{source}: two keys would both become {path}: rename one of them in the bucket")


def _fetch_all(downloads: list[Download], pool: ThreadPoolExecutor, bar: _Bar, parts_folder: Path) -> None:
    missing = [transfer.missing() for transfer in downloads]
    needed = sum(part.stop - part.start for parts in missing for part in parts)
    bar.begin(sum(transfer.object.size for transfer in downloads), needed)
    free = shutil.disk_usage(parts_folder).free
    if needed > free:
        raise UserError(f"{parts_folder}: {needed / 1e6:.1f} MB are needed and {free / 1e6:.1f} MB are free: free "
                        "space, then run the same command again")
    running = [[pool.submit(transfer.fetch, part) for part in parts]
               for transfer, parts in zip(downloads, missing, strict=True)]
    for transfer, parts in zip(downloads, running, strict=True):
        _wait(parts)
        if not transfer.finish():
            _wait([pool.submit(transfer.fetch, part) for part in transfer.missing()])
            if not transfer.finish():
                raise UserError(f"{transfer.object}: {_OTHER_BYTES}")


def _wait(parts: list[Future[None]]) -> None:
    for part in parts:
        part.result()
