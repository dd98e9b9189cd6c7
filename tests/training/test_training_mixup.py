"""Two examples over each other: inputs and labels in the same shares."""

import torch
from training_standins import examples

from ser_ops.training.loss import mixup


def test_nothing_is_mixed_without_parameter_or_share():
    batch = examples(2).batch(range(8))
    for parameter, share in ((0.0, 1.0), (0.2, 0.0)):
        mixed = mixup(batch, parameter, share)
        assert mixed.features is batch.features and mixed.waveform is batch.waveform
        assert mixed.labels == ((batch.labels, 1.0),)


def test_inputs_and_labels_have_the_same_shares():
    torch.manual_seed(5)
    batch = examples(3).batch(range(12))
    mixed = mixup(batch, 0.4, 1.0)
    (first, louder), (second, rest) = mixed.labels
    assert 0.5 <= louder <= 1 and abs(louder + rest - 1) < 1e-6
    assert torch.equal(first, batch.labels) and sorted(second.tolist()) == sorted(first.tolist())
    # which one lies under each: the one that what is left of the sum resembles
    under = (mixed.features - louder * batch.features) / rest
    other = torch.cdist(under.flatten(1), batch.features.flatten(1)).argmin(1)
    assert torch.equal(batch.labels[other], second)
    torch.testing.assert_close(mixed.waveform, louder * batch.waveform + rest * batch.waveform[other])
    assert torch.equal(mixed.valid, torch.maximum(batch.valid, batch.valid[other]))


def test_as_often_as_asked():
    torch.manual_seed(6)
    batch = examples(1).batch(range(4))
    assert 40 < sum(len(mixup(batch, 0.2, 0.3).labels) - 1 for _ in range(200)) < 80
