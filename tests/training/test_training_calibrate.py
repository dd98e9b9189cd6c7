"""Calibration after training: on validation alone, and no label changes."""

import numpy as np
import pytest
import torch
from training_standins import Tiny, examples, settings

from ser_ops.dataset.examples import loader, ordered_batches
from ser_ops.training.loop import calibrate, fit

CPU = torch.device("cpu")


def logits(model, some):
    with torch.no_grad():
        return torch.cat([model.eval()(batch.waveform, batch.valid, batch.features)
                          for batch in loader(some, ordered_batches(len(some), 16), CPU)])


def test_a_boastful_model_becomes_modest_and_says_the_same():
    model, validation = Tiny(), examples(12, seed=2, noise=2.0, partition="validation")
    fit(model, examples(12, noise=2.0), validation, settings(epochs=5), CPU)
    with torch.no_grad():
        model.head[1].weight.mul_(8)
    before = logits(model, validation)
    temperature = calibrate(model, validation, 16, CPU)
    after = logits(model, validation)
    assert 2 < temperature < 15
    torch.testing.assert_close(after, before / temperature, rtol=1e-4, atol=1e-5)
    assert torch.equal(after.argmax(1), before.argmax(1))
    assert calibrate(model, validation, 16, CPU) == pytest.approx(1.0, abs=1e-3), "once is enough"


def test_clean_and_noisy_rows_count_alike():
    """Three noisy copies of each utterance, which are one and the same, ask for the temperature that one does."""
    single = examples(12, seed=2, noise=2.0, variants=("original", "noisy_1"), partition="validation")
    position = {row.row: index for index, row in enumerate(single.rows)}
    more = single.subset([index for row, index in position.items() for _ in range(3 if row.endswith("noisy_1") else 1)])
    clean = single.by_noise()["clean"]
    once, thrice, alone = (calibrate(Tiny(), part, 16, CPU) for part in (single, more, clean))
    assert once == pytest.approx(thrice, rel=1e-3) and once != pytest.approx(alone, rel=1e-3)


def test_the_batch_size_does_not_matter():
    temperatures = [calibrate(Tiny(), examples(6, partition="validation"), size, CPU) for size in (4, 64)]
    assert np.ptp(temperatures) < 1e-4
