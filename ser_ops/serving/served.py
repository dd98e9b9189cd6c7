"""The model that answers now: where it comes from, what is known of it, and its change while requests go on."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops.caveats import DUTIES, FORBIDDEN_USES, INTENDED_USES
from ser_ops.config.model_json import fingerprint, recorded_as
from ser_ops.config.params import Params
from ser_ops.documents import parse_json
from ser_ops.errors import UserError
from ser_ops.inference.recogniser import Recogniser
from ser_ops.serving.batching import windows_at_a_time
from ser_ops.tracking.aliases import Version
from ser_ops.tracking.models import fetch_version, named_version
from ser_ops.tracking.package import MODEL_CARD
from ser_ops.tracking.server import redacted

LOG = logging.getLogger("uvicorn.error")


@dataclass(frozen=True)
class Served:
    """A loaded model, the URI that named it, and its version in the registry; None for one that is a folder or a run's.

    text: its card in Markdown, '' for a model that was never registered.
    """

    recogniser: Recogniser
    uri: str
    digest: str
    version: Version | None
    text: str

    @property
    def short(self) -> dict[str, Any]:
        """What stands in every answer: model and version."""
        return {"uri": self.uri, "version": self.version.number if self.version else None, "fingerprint": self.digest}

    @property
    def recorded_as(self) -> str:
        """What records call the model."""
        return recorded_as(self.recogniser.card, self.digest)

    @property
    def words(self) -> str:
        """The same for people."""
        return f"{self.uri} (version {self.version.number})" if self.version else self.uri

    def record(self) -> dict[str, Any]:
        """All that a user should know of it, as plain values for JSON."""
        tags = self.version.tags if self.version else {}
        card = dict(self.recogniser.card)
        licences = _json(tags, "licences") or card.get("data", {}).get("licences") or {}
        return {
            **self.short, "card": card, "text": self.text,
            "caveats": [caveat.sentence for caveat in self.recogniser.caveats],
            "window_seconds": self.recogniser.window / self.recogniser.sample_rate,
            "hop_seconds": self.recogniser.hop / self.recogniser.sample_rate,
            "licences": licences,
            "gate": {"verdict": tags.get("verdict", "not registered"), "for": tags.get("verdict_for"),
                     "at": tags.get("verdict_at"), "by": tags.get("verdict_by"),
                     "override_reason": tags.get("override_reason"), "rules": _json(tags, "verdict_rules") or []},
            "intended_uses": list(INTENDED_USES), "forbidden_uses": list(FORBIDDEN_USES), "duties": list(DUTIES)}


def _json(tags: Mapping[str, str], name: str) -> Any:
    try:
        return parse_json(tags.get(name, "null"), name)
    except UserError:   # a tag that was cut to the length that a registry takes
        return None


def load_served(params: Params, uri: str, embeddings: bool = False) -> Served:
    """The model of a URI or a folder, loaded and tried once; embeddings: for records of what it hears.

    Raises UserError in one line, as `fetch_model`.
    """
    folder, version, _ = fetch_version(params, uri)
    recogniser = Recogniser(folder, params.compute.device, windows_at_a_time(params.serve.batch_size),
                            params.predict.window_hop, onnx=False, embeddings=embeddings)
    rate = recogniser.sample_rate       # the first pass is the slowest: no request should wait for it
    recogniser.answer(np.sin(np.arange(recogniser.window, dtype=np.float32) * (2 * np.pi * 200 / rate)) * 0.1, rate)
    card = Path(folder, MODEL_CARD)
    # Of a folder the name alone: where it lies is nobody's business.
    shown = redacted(uri) if uri.startswith(("models:/", "runs:/")) else Path(uri).name
    return Served(recogniser, shown, fingerprint(folder), version,
                  card.read_text(encoding="utf-8") if card.is_file() else "")


class Watch:
    """A thread that looks every so often which version the URI names, and loads another one beside the one in use.

    A registry that is away, an alias that is gone or a version that does not load is logged; the model in use stays.
    """

    def __init__(self, params: Params, uri: str, served: Served, changed: Callable[[Served], None]) -> None:
        """changed: called in the thread with each model that is ready to take over."""
        self._params, self._uri, self._served, self._changed = params, uri, served, changed
        self._over = threading.Event()
        if served.version is not None:
            threading.Thread(target=self._look, name="watch", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._over.set()

    def _look(self) -> None:
        said = ""
        while not self._over.wait(self._params.serve.watch):
            try:
                self._follow()
                said = ""
            except Exception as error:  # one look that fails, for whatever reason, must not be the last
                if str(error) != said:
                    said = str(error)
                    LOG.warning("the registry: %s; %s goes on", redacted(said), self._served.words)

    def _follow(self) -> None:
        version = named_version(self._params, self._uri)
        if version == self._served.version:
            return
        if version and self._served.version and version.number == self._served.version.number:
            self._served = replace(self._served, version=version)   # its tags changed: a verdict, a reason
        else:
            self._served = load_served(self._params, self._uri, self._served.recogniser.embeddings)
            LOG.warning("now answers: %s", self._served.words)
        self._changed(self._served)
