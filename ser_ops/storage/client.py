"""Object stores: s3:// addresses, the connection, and what to do when a store refuses.

Endpoint, region and credentials come from the AWS_* environment alone.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ser_ops.config.services import Storage
from ser_ops.errors import UserError

_REMEDIES = {
    "NoSuchBucket": "check the bucket's name",
    "NoSuchKey": "it was removed meanwhile: run the same command again",
    "SlowDown": "the store is overloaded: run the same command later, it goes on from what is here",
}
_DENIED = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, and that they may read there"


def is_remote(source: str) -> bool:
    """Whether `source` is an s3:// address rather than a path.

    >>> is_remote("s3://bucket/ravdess"), is_remote("/data/ravdess")
    (True, False)
    """
    return source.startswith("s3://")


class Address(NamedTuple):
    """A bucket, and the key of one object or the folder-like prefix of many ("" for all).

    >>> Address.read("s3://voices/sets/ravdess/").name
    'ravdess'
    """

    bucket: str
    prefix: str

    @classmethod
    def read(cls, source: str) -> "Address":
        """Take an s3:// address apart. Raises UserError when it names no bucket."""
        parts = urlsplit(source, allow_fragments=False)
        if not parts.netloc:
            raise UserError(f"{source}: names no bucket: write s3://BUCKET/PREFIX")
        return cls(parts.netloc, (parts.path + (f"?{parts.query}" if parts.query else "")).strip("/"))

    @property
    def name(self) -> str:
        """The name of the folder or file: the last part of the prefix, or the bucket's."""
        return PurePosixPath(self.prefix).name or self.bucket

    def holds(self, key: str) -> bool:
        """Whether a key is this prefix itself or lies below it; `ab.wav` does not lie below `a`.

        >>> [Address("voices", "a").holds(key) for key in ("a", "a/b.wav", "ab.wav", "a/")]
        [True, True, False, False]
        """
        return not key.endswith("/") and (key == self.prefix or not self.prefix or key.startswith(self.prefix + "/"))

    def relative_path(self, key: str) -> PurePosixPath:
        """The path of an object inside the folder. Raises UserError for a key that would lead out of it."""
        inside = PurePosixPath(key).name if key == self.prefix else key[len(self.prefix) + 1 if self.prefix else 0:]
        path = PurePosixPath(inside)
        if path.is_absolute() or ".." in path.parts or "\0" in key:
            raise UserError(f"s3://{self.bucket}/{self.prefix}: the key {key!r} leads out of its folder: nothing "
                            "was downloaded")
        return path


def connect(limits: Storage) -> Any:
    """A boto3 client that tries each request `limits.attempts` times, waiting longer each time, with jitter.

    Raises UserError for an endpoint that is no address.
    """
    import boto3
    from botocore.config import Config
    try:
        return boto3.Session().client("s3", config=Config(
            retries={"mode": "standard", "total_max_attempts": limits.attempts}, max_pool_connections=limits.parallel,
            connect_timeout=limits.timeout, read_timeout=limits.timeout, response_checksum_validation="when_required"))
    except ValueError as error:
        raise UserError(f"{_first_line(error)}: write AWS_ENDPOINT_URL as http://HOST:PORT or https://HOST") from error


def check_bucket(address: str, limit: float) -> str:
    """List at most one object under an s3:// address; the endpoint that answered, and where the credentials came from.

    `limit`: seconds. Raises UserError when there is no such bucket, no permission, no credentials or no endpoint.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    parts = urlsplit(address)
    session = boto3.Session()
    try:
        client = session.client("s3", config=Config(retries={"max_attempts": 1}, connect_timeout=limit,
                                                    read_timeout=limit))
        client.list_objects_v2(Bucket=parts.netloc, Prefix=parts.path.lstrip("/"), MaxKeys=1)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        mend = ("make the bucket, or mend the address" if code in ("NoSuchBucket", "404") else
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        raise UserError(f"{address} refuses ({code}): {mend}") from error
    except BotoCoreError as error:
        raise UserError(f"{address} does not answer ({str(error).splitlines()[0].rstrip('.')}): set AWS_ENDPOINT_URL, "
                        "AWS_DEFAULT_REGION and credentials, or start the store") from error
    login = session.get_credentials()
    return f"{client.meta.endpoint_url}, credentials from {login.method if login else 'nowhere: the bucket is public'}"


@contextmanager
def s3_errors(source: str) -> Iterator[None]:
    """Turn what boto3 raises in the block about `source` into one UserError line with what to do, without secrets."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        remedy = (_REMEDIES.get(code) or (_DENIED if status in (401, 403) else _REMEDIES["SlowDown"] if status >= 500
                                       else "check the address and the AWS_* settings in the environment"))
        raise UserError(f"{source}: {_first_line(error)}: {remedy}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise UserError(f"{source}: {_first_line(error)}: {_DENIED}") from error
    except BotoCoreError as error:
        raise UserError(f"{source}: {_first_line(error)}: check AWS_ENDPOINT_URL and AWS_DEFAULT_REGION in the "
                        "environment and that the store is up, then run the same command again") from error


def _first_line(error: Exception) -> str:
    line = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return re.sub(r"//[^/@\s]+@", "//", line)       # an endpoint may carry a password
