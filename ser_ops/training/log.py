"""What training wants of a record of runs; it knows no tracking server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Logger(Protocol):
    """Takes settings, figures at a step, and files."""

    def params(self, values: Mapping[str, Any]) -> None:
        """Record settings; nested ones are flattened."""

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Record figures, at a step or once for all."""

    def tags(self, values: Mapping[str, Any]) -> None:
        """Record words about the run."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """Record a file or a folder."""


class Silent:
    """A logger that keeps nothing."""

    def params(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Nothing."""

    def tags(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """Nothing."""
