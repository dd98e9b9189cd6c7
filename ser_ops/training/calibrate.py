"""After training: a model's confidence brought to how often it is right, on the validation rows."""

import numpy as np
import torch
from torch import nn

from ser_ops.dataset.batches import in_order, loader
from ser_ops.dataset.examples import Examples
from ser_ops.models.temperature import divide_logits, fit_temperature
from ser_ops.training.world import repeatable


def probabilities(model: nn.Module, examples: Examples, batch_size: int, device: torch.device) -> np.ndarray:
    """A model's answers to rows in their order, float64 (rows, 7); on a CPU the same bits whatever its threads."""
    model.to(device).eval()
    with repeatable(device), torch.inference_mode():
        found = [model(batch.waveform, batch.valid, batch.features).double().softmax(1).cpu().numpy()
                 for batch in loader(examples.read_by(model), in_order(len(examples), batch_size), device)]
    return np.concatenate(found)


def calibrate(model: nn.Module, validation: Examples, batch_size: int, device: torch.device) -> float:
    """Divide the model's logits by the temperature that its validation answers ask for, and return it.

    1 leaves the model as it is; above 1 it was surer than it was right. No label changes, and so no recall.
    """
    temperature = fit_temperature(validation.labels, probabilities(model, validation, batch_size, device))
    divide_logits(model, temperature)
    return temperature
