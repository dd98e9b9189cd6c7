"""The services of infra/compose.yaml as plain processes on loopback: for developers (`make stack`) and for tests."""

from infra.stack.stack import Stack

__all__ = ["Stack"]
