"""The aliases of the registered model: which version holds one, which held it before, and how it passes on.

Tags are written first and the alias is set last, by one call that the registry takes whole or not at all: a process
that is killed on the way leaves the alias where it was. The versions that held an alias before are remembered as a
list on the registered model (tags `before_staging`, `before_production`), the last one last.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ser_ops.config.params import Params
from ser_ops.documents import parse_json
from ser_ops.errors import UserError
from ser_ops.tracking.registry import registry_lock, resolve_version, version_under_alias
from ser_ops.tracking.server import connect, mlflow_errors, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Version:
    """A version of the registered model: its number, the run that its files are attached to, and its tags."""

    number: str
    run_id: str
    tags: Mapping[str, str]

    @property
    def model(self) -> str:
        """Name of its network in the table of models; '' when the version does not say."""
        return self.tags.get("model", "")


class Aliases:
    """The registered model `name`, while no other process changes it. Made by `changing_aliases`.

    check: raises UserError when another process took this one for dead; called before what cannot be undone.
    """

    def __init__(self, client: "MlflowClient", name: str, check: Callable[[], None]) -> None:
        self._client, self.name, self.check = client, name, check

    def version(self, which: str) -> Version:
        """A version by number or alias. Raises UserError, which says what to do, when there is none."""
        return _version(resolve_version(self._client, self.name, which))

    def current(self, alias: str) -> Version | None:
        """The version that stands under an alias, or None."""
        entity = version_under_alias(self._client, self.name, alias)
        return None if entity is None else _version(entity)

    @contextmanager
    def report(self, version: Version, file: str) -> Iterator[Path | None]:
        """A copy of one of the reports attached to a version, or None when it has no such report."""
        from mlflow.exceptions import MlflowException
        with TemporaryDirectory(prefix="ser-ops-reports-") as folder:
            try:
                path: Path | None = Path(self._client.download_artifacts(version.run_id, f"reports/{file}", folder))
            except (MlflowException, OSError):
                path = None
            yield path if path and path.is_file() else None

    def download(self, version: Version, folder: Path) -> Path:
        """The packaged model of a version, downloaded below `folder`."""
        import mlflow
        return Path(mlflow.artifacts.download_artifacts(f"models:/{self.name}/{version.number}",
                                                        dst_path=str(folder)))

    def tag(self, number: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for key, value in tags.items():
            self._client.set_model_version_tag(self.name, number, key, value)

    def give(self, alias: str, number: str) -> str | None:
        """Give an alias to a version and remember which held it; that version's number, None when there was none.

        Setting the alias is the last call of all.
        """
        previous = self._previous(alias)
        version = self.current(alias)
        current = None if version is None else version.number
        if current == number:
            return previous[-1] if previous else None
        if current is not None and previous[-1:] != [current]:
            previous.append(current)
        self._remember(alias, previous)
        self.tag(number, {f"previous_{alias}": current or "none", f"held_{alias}": "true"})
        self.check()
        self._client.set_registered_model_alias(self.name, alias, number)
        return current

    def give_back(self, alias: str) -> tuple[str, str | None]:
        """Give an alias back to the version that held it before, or take it away when there was none.

        Returns the number of the version that held it and of the one that holds it now. Raises UserError when no
        version holds the alias.
        """
        current = self.version(alias).number
        previous = [number for number in self._previous(alias) if self._exists(number)]
        while previous[-1:] == [current]:  # left by a process that was killed before it had set the alias
            previous.pop()
        now = previous.pop() if previous else None
        self.check()
        if now is None:
            self._client.delete_registered_model_alias(self.name, alias)
        else:
            self._client.set_registered_model_alias(self.name, alias, now)
        self._remember(alias, previous)
        self.tag(current, {f"demoted_from_{alias}": utc_now()})
        return current, now

    def _previous(self, alias: str) -> list[str]:
        """Numbers of the versions that held the alias before the one that holds it now, the last one last."""
        tags = self._client.get_registered_model(self.name).tags
        try:
            numbers = parse_json(tags.get(f"before_{alias}", "[]"), f"before_{alias}")
        except UserError:
            return []
        return [str(number) for number in numbers] if isinstance(numbers, list) else []

    def _remember(self, alias: str, numbers: Sequence[str]) -> None:
        self._client.set_registered_model_tag(self.name, f"before_{alias}", json.dumps(list(numbers)))

    def _exists(self, number: str) -> bool:
        try:
            self.version(number)
        except UserError:
            return False
        return True


def _version(entity: "ModelVersion") -> Version:
    return Version(str(entity.version), str(entity.run_id), entity.tags)


@contextmanager
def changing_aliases(params: Params) -> Iterator[Aliases]:
    """The aliases of the project's registered model, for this process alone: others wait.

    Raises UserError in one line when the server does not answer or has no such model.
    """
    client = connect(params, make=False)
    with mlflow_errors(tracking_uri(params)), registry_lock(params, client) as check:
        yield Aliases(client, params.tracking.registered_model, check)


def utc_now() -> str:
    """The time now in UTC, as tags hold it: 2026-01-31T23:59:59Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
