"""The stack as a developer starts it: it comes up, asks everyone for a password, and leaves nothing behind."""

import urllib.error
import urllib.request

import pytest

from infra.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def status(url: str) -> int:
    try:
        return int(urllib.request.urlopen(url, timeout=10).status)
    except urllib.error.HTTPError as error:
        return error.code


def test_nobody_enters_without_a_password(stack: Stack) -> None:
    there = stack.environment
    assert status(there["MLFLOW_TRACKING_URI"] + "/health") == 200
    assert status(there["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/experiments/search?max_results=1") == 401
    assert status(there["PREFECT_API_URL"] + "/ready") == 200
    assert status(there["PREFECT_API_URL"] + "/admin/version") == 401
    assert status(there["AWS_ENDPOINT_URL"] + "/mlflow?list-type=2") == 403
