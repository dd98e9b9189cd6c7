"""A model's network in torch, which answers windows: of strangers, and of voices that it knows."""

from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from ser_ops.config.model_json import input_of
from ser_ops.device import device_of
from ser_ops.errors import UserError
from ser_ops.features.extractor import Extractor
from ser_ops.models.base import EmotionModel, LastInputs, embedding
from ser_ops.models.voices import Population, Voice, population_of


class TorchNetwork:
    """A network on its device, with what it reads; `population` is None for one that cannot make use of a voice."""

    def __init__(self, model: nn.Module, card: dict[str, Any], device: str) -> None:
        """device: auto, cpu, cuda or cuda:N. Raises UserError for a device that is not here."""
        self.model, self.card, self.device = model, card, device_of(device)
        self.model.to(self.device).eval()
        self.population = population_of(model)
        self.extractor = Extractor(input_of(card), source_rate=int(card["sample_rate"]))

    @cached_property
    def _last_inputs(self) -> LastInputs:
        return LastInputs(self.model)

    def probabilities(self, windows: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Probabilities, float64 of shape (B, 7), each row summing to 1, of windows already cut and padded.

        windows: float32 (B, N) at the card's rate; valid: int64 (B,), unpadded samples of each.
        """
        with torch.inference_mode():
            waveforms, lengths = self._placed(windows, valid)
            logits = self.model(waveforms, lengths, self.extractor(waveforms))
            return torch.softmax(logits.double(), dim=1).cpu().numpy()

    def probabilities_and_embeddings(self, windows: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`probabilities`, and where each window lies for the model, float32 (B, EMBEDDING): see `embedding`."""
        with self._last_inputs.reading() as read:
            rows = self.probabilities(windows, valid)
        return rows, embedding(read)

    def stranger(self) -> Voice:
        """A voice of which nothing is known yet. Raises UserError for a model that cannot make use of a voice."""
        if self.population is None:
            raise UserError(f"a {self.card['model']} model of preset {self.card.get('preset', 'unknown')} cannot make "
                            "use of a known voice: ask without one, or train with wav2vec.states: statistics, as "
                            "preset pretrained does")
        return Voice(0, torch.zeros_like(self.population.mean, device="cpu"))

    def probabilities_of_voice(self, windows: np.ndarray, valid: np.ndarray,
                               voice: Voice) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (B, 7) of windows of a voice, and what the pretrained stream made of them, float32 (B, H)."""
        model, population = cast(EmotionModel, self.model), cast(Population, self.population)
        with torch.inference_mode():
            waveforms, lengths = self._placed(windows, valid)
            contexts = model.context(waveforms, lengths)
            means = voice.mean.to(contexts).expand_as(contexts)
            known = population(contexts, means, torch.full((len(contexts),), float(voice.clips)).to(contexts))
            logits = model.classify(known, self.extractor(waveforms))
            return torch.softmax(logits.double(), dim=1).cpu().numpy(), contexts.float().cpu().numpy()

    def _placed(self, windows: np.ndarray, valid: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Windows and lengths on the device."""
        return (torch.from_numpy(np.ascontiguousarray(windows, np.float32)).to(self.device),
                torch.from_numpy(np.asarray(valid, np.int64)).to(self.device))
