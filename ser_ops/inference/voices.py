"""Voices that a user enrolled: a file for each, which holds a mean and no sound, and can be forgotten."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ser_ops.errors import UserError
from ser_ops.files import replacing, sha256
from ser_ops.inference.recogniser import Answer, Recogniser
from ser_ops.models.voices import Voice

_NAME = re.compile(r"[\w-][\w .-]{0,63}")
_SUFFIX = ".safetensors"


class KnownSpeaker:
    """Answers recordings of one speaker by what is known of the voice, and remembers them for `learn`.

    The order of the recordings says nothing: all are answered by what was known before. Another model with the same
    pretrained stream knows the same voices; what another stream heard is refused.
    """

    def __init__(self, recogniser: Recogniser, folder: Path, name: str) -> None:
        """Read what is known of `name` in `folder`, nothing where that was never enrolled.

        Raises UserError for a model that cannot use a voice, an impossible name, a damaged file, and a voice that
        another stream heard.
        """
        self.recogniser, self.path = recogniser, voice_file(folder, name)
        self._stream, self._heard = stream_mark(recogniser.card), dict[str, np.ndarray]()
        self._voice, self._recordings = recogniser.stranger(), frozenset[str]()
        if self.path.exists():
            self._voice, self._recordings = self._read(f"forget it (ser-ops voices forget '{name}') and enrol it again")

    @property
    def clips(self) -> int:
        """The recordings by which the voice is known."""
        return self._voice.clips

    def answer_file(self, path: str | os.PathLike[str], channel: int | None = None) -> Answer:
        """Answer a recording of the speaker, as `Recogniser.answer_file` does."""
        answer = self.recogniser.answer_file(path, channel, self._voice)
        if answer.context is not None:
            self._heard[sha256(Path(path))] = answer.context
        return answer

    def learn(self) -> int:
        """Add what was answered to what is known, each recording once, and keep it; return how many are known now."""
        for digest in sorted(self._heard.keys() - self._recordings):
            self._voice = self._voice.with_clip(torch.from_numpy(self._heard[digest]))
        self._recordings |= self._heard.keys()
        if self._recordings:
            with replacing(self.path) as temporary:
                save_file({"mean": self._voice.mean.contiguous()}, temporary, metadata={
                    "stream": self._stream, "recordings": json.dumps(sorted(self._recordings))})
                temporary.chmod(0o600)
        return self.clips

    def _read(self, remedy: str) -> tuple[Voice, frozenset[str]]:
        try:
            with safe_open(self.path, "pt") as file:
                metadata, mean = file.metadata(), file.get_tensor("mean")
            recordings = frozenset(map(str, json.loads(metadata["recordings"])))
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise UserError(f"{self.path}: holds no voice: {remedy}") from error
        if metadata.get("stream") != self._stream:
            raise UserError(f"{self.path}: was learned by a model with another pretrained stream: {remedy}")
        if mean.shape != self._voice.mean.shape or not torch.isfinite(mean).all() or not recordings:
            raise UserError(f"{self.path}: holds no voice: {remedy}")
        return Voice(len(recordings), mean.float()), recordings


def stream_mark(card: Mapping[str, Any]) -> str:
    """A mark of the pretrained stream of a model, the same for all models that share a frozen checkpoint."""
    said = [card.get(key) for key in ("backbone", "backbone_revision", "backbone_config")]
    if card["preset_settings"]["wav2vec"]["trainable"] != "frozen" or card.get("backbone_revision") is None:
        said.append(card.get("weights_sha256"))
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def voice_file(folder: Path, name: str) -> Path:
    """The file of a name. Raises UserError for a name that could be another path, or that no file can have."""
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r}: no name of a voice: letters, digits, '-', '_', '.' and spaces, at most 64, with "
                        "no dot in front")
    return folder / f"{name}{_SUFFIX}"


def names_of_voices(folder: Path) -> list[str]:
    """Names that are enrolled, sorted."""
    return sorted(path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*{_SUFFIX}"))


def forget(folder: Path, name: str) -> None:
    """Remove what is known of a name. Raises UserError where nothing is, or where it cannot be removed."""
    path = voice_file(folder, name)
    try:
        path.unlink()
    except FileNotFoundError as error:
        known = ", ".join(names_of_voices(folder)) or "nobody"
        raise UserError(f"{name}: not enrolled in {folder} ({known} is)") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be removed ({error.strerror}): remove it by hand") from error
