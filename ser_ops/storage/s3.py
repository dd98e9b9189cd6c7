"""S3 and what speaks its protocol. Endpoint, region and credentials come from the AWS_* environment alone."""

from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ser_ops.errors import UserError
from ser_ops.files import replacing
from ser_ops.progress import progress


def is_remote(source: str) -> bool:
    """Whether `source` is an s3:// address rather than a path.

    >>> is_remote("s3://bucket/ravdess"), is_remote("/data/ravdess")
    (True, False)
    """
    return source.startswith("s3://")


def bring(source: str, folder: Path) -> list[Path]:
    """Download every object under an s3:// prefix (or the one object it names) into `folder`.

    Each object is written beside its place and renamed when all of its bytes are there, so that a partial file
    is never taken for a whole one; run again, what is there whole (same size) is skipped. boto3 downloads in
    parts, verifies its checksums and retries with back-off.

    Returns the files' paths. Raises UserError for an address that holds nothing, keys that lead out of the
    folder, missing credentials and an endpoint that does not answer.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    parts = urlsplit(source)
    bucket, prefix = parts.netloc, parts.path.lstrip("/")
    client: Any = boto3.client("s3", config=Config(retries={"mode": "adaptive", "max_attempts": 5}, connect_timeout=10))
    try:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        objects = [one for page in pages for one in page.get("Contents", []) if not one["Key"].endswith("/")
                   and (one["Key"] == prefix or not prefix or one["Key"].startswith(prefix.rstrip("/") + "/"))]
        if not objects:
            raise UserError(f"{source}: nothing lies there: check the bucket and the prefix")
        files = []
        for one in progress(objects, f"from {bucket}", len(objects), "file"):
            file = folder / _relative(one["Key"], prefix, source)
            if not (file.is_file() and file.stat().st_size == one["Size"]):
                with replacing(file) as temporary:
                    client.download_file(bucket, one["Key"], str(temporary))
                    if temporary.stat().st_size != one["Size"]:
                        raise UserError(f"{source}: {one['Key']} came incomplete: run the same command again")
            files.append(file)
        return files
    except (BotoCoreError, ClientError) as error:
        raise UserError(f"{source}: {str(error).splitlines()[0].rstrip('.')}: check the AWS_* settings (endpoint, "
                        "region, credentials) in the environment") from error


def _relative(key: str, prefix: str, source: str) -> PurePosixPath:
    inside = PurePosixPath(key).name if key == prefix else key[len(prefix.rstrip("/")) + 1 if prefix else 0:]
    path = PurePosixPath(inside)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"{source}: the key {key!r} leads out of its folder: nothing more was brought")
    return path
