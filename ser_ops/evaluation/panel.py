"""Several models that answer the same windows: each waveform is cut and its features are computed once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ser_ops.audio.window import fit
from ser_ops.config import Window, input_of
from ser_ops.features.extractor import Extractor
from ser_ops.models.base import EmotionModel


class Panel:
    """Models with their cards, ready on one device in evaluation mode.

    Models that read the same share it. A card needs `model`, `sample_rate` (hertz, the same of all) and
    `preset_settings`.
    """

    def __init__(self, models: Mapping[str, tuple[EmotionModel, Mapping[str, Any]]], device: torch.device,
                 batch_size: int) -> None:
        self.names = tuple(models)
        self.device, self.batch_size = device, batch_size
        rates = {int(card["sample_rate"]) for _, card in models.values()}
        if len(rates) != 1:
            raise ValueError(f"models at {sorted(rates)} Hz cannot share waveforms")
        self.sample_rate = rates.pop()
        self._models = [model.to(device).eval() for model, _ in models.values()]
        self._groups: dict[Window, list[int]] = {}
        for place, (_, card) in enumerate(models.values()):
            self._groups.setdefault(input_of(card), []).append(place)
        self._extractors = {one: Extractor(one, source_rate=self.sample_rate) for one in self._groups}

    def __call__(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities, float64 (models, n, 7), of n waveforms, each float32 (samples,) mono at `sample_rate`.

        Of each the middle window is heard, zero padded where it is shorter (`ser_ops.audio.fit`).
        """
        answers = [self._answer(waveforms[start:start + self.batch_size])
                   for start in range(0, len(waveforms), self.batch_size)]
        return np.concatenate(answers, axis=1)

    def _answer(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        found: list[np.ndarray] = [np.empty(0)] * len(self._models)
        with torch.inference_mode():
            for settings, members in self._groups.items():
                extractor = self._extractors[settings]
                fitted = [fit(one, extractor.length) for one in waveforms]
                batch = torch.from_numpy(np.stack([one for one, _ in fitted])).to(self.device)
                valid = torch.tensor([length for _, length in fitted]).to(self.device)
                read = any(set(self._models[place].streams) - {"wav2vec"} for place in members)
                features = extractor(batch) if read else batch[:, :0]  # a stream that nobody has costs nothing
                for place in members:
                    logits = self._models[place](batch, valid, features)
                    found[place] = torch.softmax(logits.double(), dim=1).cpu().numpy()
        return np.stack(found)
