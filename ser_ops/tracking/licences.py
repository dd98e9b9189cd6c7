"""The data behind a model and what its licences allow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser_ops.caveats import NOT_STATED, non_commercial
from ser_ops.config.params import Params
from ser_ops.documents import read_json

_NON_COMMERCIAL = ("non-commercial", "to be treated as non-commercial")


@dataclass(frozen=True)
class Source:
    """A corpus of speech or a collection of noise."""

    kind: str
    name: str
    licence: str
    synthetic: bool
    complete: bool = True

    @property
    def sentence(self) -> str:
        """For the model card."""
        notes = [word for word, holds in (("synthetic", self.synthetic), ("partial", not self.complete),
                                          (_NON_COMMERCIAL[self.licence == NOT_STATED], non_commercial(self.licence)))
                 if holds]
        return f"{self.name} ({self.kind}): {self.licence}" + (f" [{', '.join(notes)}]" if notes else "")


def sources(params: Params, corpora: Sequence[str]) -> list[Source]:
    """The corpora named and the noise collections in use, as ingest wrote them to corpora.json and noise.json.

    What neither names has the licence 'not stated'.
    """
    ingest = params.paths.work / "ingest"
    speech, noise = _known(ingest / "corpora.json"), _known(ingest / "noise.json")
    return [*(_source("speech", name, speech.get(name, {})) for name in corpora),
            *(_source("noise", name, noise.get(name, {}) | {"complete": True}) for name in params.data.noise)]


def _known(file: Path) -> dict[str, Any]:
    return dict(read_json(file)) if file.is_file() else {}


def _source(kind: str, name: str, entry: Mapping[str, Any]) -> Source:
    return Source(kind, name, str(entry.get("licence") or NOT_STATED), bool(entry.get("synthetic")),
                  bool(entry.get("complete")))
