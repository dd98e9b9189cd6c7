"""What a model answers for windows of sound: one row of probabilities each."""

import numpy as np
import torch

from ser_ops.features.extractor import Extractor


def probabilities(model: torch.nn.Module, extractor: Extractor, batch: np.ndarray, valid: np.ndarray,
                  device: torch.device) -> np.ndarray:
    """Probabilities, float64 of shape (B, 7), each row summing to 1, of windows already cut and padded.

    batch: float32 (B, N) at the rate of the extractor's source; valid: int64 (B,), unpadded samples of each.
    The model is taken in evaluation mode.
    """
    with torch.inference_mode():
        waveforms = torch.from_numpy(np.ascontiguousarray(batch, np.float32)).to(device)
        lengths = torch.from_numpy(np.asarray(valid, np.int64)).to(device)
        logits = model(waveforms, lengths, extractor(waveforms))
        return torch.softmax(logits.double(), dim=1).cpu().numpy()
