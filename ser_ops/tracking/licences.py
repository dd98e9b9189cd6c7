"""The data behind a model and what its licences allow."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from ser_ops.config import Params
from ser_ops.files import read_json

NOT_STATED = "not stated"
_NON_COMMERCIAL = ("non-commercial", "to be treated as non-commercial")


def non_commercial(licence: str) -> bool:
    """Whether a licence forbids commercial use, or does not say that it allows it.

    >>> [non_commercial(one) for one in ("CC BY-NC-SA 4.0", "CC0 1.0", "for non-commercial research", "not stated")]
    [True, False, True, True]
    """
    words = licence.lower()
    return bool(re.search(r"\bnc\b|non[- ]?commercial|research (use )?only|academic|all rights", words)
                or words in ("", NOT_STATED))


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
    """The corpora named, with work/ingest/corpora.json, and the noise collections in use, with their cards.

    What neither names has the licence 'not stated'.
    """
    index = params.paths.work / "ingest" / "corpora.json"
    known: Mapping[str, Any] = read_json(index) if index.is_file() else {}
    found = []
    for name in corpora:
        entry = known.get(name, {})
        found.append(Source("speech", name, str(entry.get("licence") or NOT_STATED), bool(entry.get("synthetic")),
                            bool(entry.get("complete", False))))
    for name in params.data.noise:
        try:
            card = yaml.safe_load((params.paths.data / "noise" / name / "noise.yaml").read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError):
            card = {}
        found.append(Source("noise", name, str(card.get("licence") or NOT_STATED), bool(card.get("synthetic"))))
    return found
