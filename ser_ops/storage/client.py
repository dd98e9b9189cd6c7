"""The connection to an object store. Endpoint, region and credentials come from the AWS_* environment alone."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ser_ops.config.sections import Storage
from ser_ops.errors import UserError

_WORDS = {
    "NoSuchBucket": "check the bucket's name",
    "NoSuchKey": "it was removed meanwhile: run the same command again",
    "SlowDown": "the store is overloaded: run the same command later, it goes on from what is here",
}
_DENIED = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, and that they may read there"


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


@contextmanager
def spoken(source: str) -> Iterator[None]:
    """What boto3 raises in the block about `source`, as one line with what to do and without any secret."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        remedy = (_WORDS.get(code) or (_DENIED if status in (401, 403) else _WORDS["SlowDown"] if status >= 500
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
