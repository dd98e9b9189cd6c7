"""Both streams get the same level: a microphone's gain is no emotion."""

import pytest
import torch

from ser_ops.config.params import load_preset
from ser_ops.features.extractor import Extractor
from ser_ops.models.architectures import build

RATE, SECONDS = 16000, 0.5


def logits(level: str, gain_db: float, padded: bool) -> torch.Tensor:
    small = load_preset("small")
    few = {"hidden": 16, "layers": 1, "heads": 2}
    preset = small.model_copy(update={
        "features": small.features.model_copy(update={"seconds": SECONDS, "level": level}),
        "wav2vec": small.wav2vec.model_copy(update=few)})
    model = build("fusion", preset, seed=1).eval()
    valid = torch.tensor([RATE // 4 if padded else RATE // 2])
    waveform = 0.1 * torch.randn(1, RATE // 2, generator=torch.Generator().manual_seed(2)) * 10 ** (gain_db / 20)
    waveform[:, valid[0]:] = 0.0
    with torch.no_grad():
        return model(waveform, valid, Extractor(preset.features)(waveform))


@pytest.mark.parametrize("gain_db", [-30.0, -8.0, 8.0, 20.0])
@pytest.mark.parametrize("padded", [False, True])
def test_gain_does_not_change_a_fusion_answer_where_the_level_is_the_same(gain_db: float, padded: bool) -> None:
    assert torch.allclose(logits("same", gain_db, padded), logits("same", 0.0, padded), atol=1e-5)


def test_gain_is_heard_where_the_level_is_kept() -> None:
    assert not torch.allclose(logits("keep", -8.0, False), logits("keep", 0.0, False), atol=1e-4)
