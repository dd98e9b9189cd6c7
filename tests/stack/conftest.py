"""The real servers, as `make stack` starts them: on loopback, on free ports, in folders of their own."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from infra.stack import Stack
from infra.stack.postgres import programs
from ser_ops.errors import UserError


def _need_postgresql() -> None:
    """Skip where PostgreSQL is not installed; in CI that is a failure."""
    try:
        programs()
    except UserError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own account may enter, which pytest's are not."""
    folder = Path(tempfile.mkdtemp(prefix="stack-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stack_folder() -> Iterator[Path]:
    """A folder for a stack of one test."""
    _need_postgresql()
    with _folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def make_stack() -> Iterator[Callable[..., Stack]]:
    """Start services, `make_stack("postgres", "s3")`, with passwords and data of their own, until the tests end."""
    with ExitStack() as held:

        def make(*services: str) -> Stack:
            _need_postgresql()
            stack = Stack(held.enter_context(_folder()), services)
            held.callback(stack.kill)  # the data goes anyway
            stack.start()
            return stack

        yield make


@pytest.fixture(scope="session")
def stack(make_stack: Callable[..., Stack]) -> Stack:
    """PostgreSQL, S3, MLflow and Prefect, shared by all tests: whoever ends a service starts it again."""
    return make_stack("postgres", "s3", "mlflow", "prefect")


@pytest.fixture(scope="session")
def postgres(make_stack: Callable[..., Stack]) -> Stack:
    """PostgreSQL alone."""
    return make_stack("postgres")
