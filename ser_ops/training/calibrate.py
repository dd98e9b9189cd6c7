"""After training: a model's confidence brought to how often it is right, on the validation rows."""

import numpy as np
import torch
from torch import nn

from ser_ops.dataset import Examples, in_order, loader
from ser_ops.models.temperature import divide_logits, fit_temperature


def calibrate(model: nn.Module, validation: Examples, batch_size: int, device: torch.device) -> float:
    """Divide the model's logits by the temperature that its validation answers ask for, and return it.

    1 leaves the model as it is; above 1 it was surer than it was right. No label changes, and so no recall.
    """
    model.eval()
    with torch.inference_mode():
        found = [model(batch.waveform, batch.valid, batch.features).double().softmax(1).cpu().numpy()
                 for batch in loader(validation.read_by(model), in_order(len(validation), batch_size), device)]
    temperature = fit_temperature(validation.labels, np.concatenate(found))
    divide_logits(model, temperature)
    return temperature
