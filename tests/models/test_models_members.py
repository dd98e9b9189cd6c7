"""Members side by side are the same networks apart: answers, gradients, first weights, and what becomes of them."""

import pytest
import torch
from torch.nn import functional

from ser_ops.config.models import Preset
from ser_ops.config.params import load_preset
from ser_ops.features.index_map import shape_of
from ser_ops.models.architectures import build
from ser_ops.models.base import EmotionModel, member_examples
from ser_ops.models.model_folder import load, save
from ser_ops.models.temperature import divide_logits

SMALL = load_preset("small")
LABELS = torch.tensor([0, 2, 4, 6])


def preset(members: int, **changes: float) -> Preset:
    spectral = SMALL.spectral.model_copy(update={"members": members, "channels": (4, 8, 8, 16), "maps": 8, **changes})
    return SMALL.model_copy(update={"spectral": spectral, "features": SMALL.features.model_copy(
        update={"standardise": False}), "head": SMALL.head.model_copy(update={"dropout": 0.0})})


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return (0.1 * torch.randn(4, 16000, generator=generator), torch.full((4,), 16000),
            torch.randn(4, *shape_of(SMALL.features), generator=generator))


def member(model: EmotionModel, index: int, number: int, small: Preset) -> EmotionModel:
    """One member of a model as a model of its own."""
    states = {}
    for name, tensor in model.state_dict().items():
        if (".last_convolution." in name or ".after." in name) and tensor.ndim:
            tensor = tensor.chunk(number)[index]
        for many in ("spectral.pictures", "spectral.pooling", "spectral.project", "head.heads"):
            if name.startswith(f"{many}.{index}."):
                name = name.replace(f"{many}.{index}.", f"{many}.0.")
        states[name] = tensor
    alone = build(model.name, small)
    alone.load_state_dict({name: states[name] for name in alone.state_dict()})
    return alone


QUIET = {"dropout": 0.0, "masked_bands": 0, "masked_frames": 0}


@pytest.mark.parametrize("name", ["spectral", "concat", "fusion"])
def test_the_answer_is_the_mean_of_the_members_probabilities(name):
    model, some = build(name, preset(3), seed=1), inputs()
    apart = [member(model, index, 3, preset(1)).eval() for index in range(3)]
    with torch.no_grad():
        each = torch.stack([network(*some).softmax(1) for network in apart])
        torch.testing.assert_close(model.eval()(*some), each.mean(0).log(), rtol=1e-4, atol=1e-5)
    assert (each[0] - each[1]).abs().max() > 1e-3, "they are not the same network three times"


def test_each_member_learns_as_if_it_were_alone():
    model, (waveform, valid, features) = build("spectral", preset(3, **QUIET), seed=1), inputs()
    apart = [member(model, index, 3, preset(1, **QUIET)) for index in range(3)]
    logits = model(waveform, valid, features)
    assert logits.shape == (4, 3, 7)
    functional.cross_entropy(*member_examples(logits, LABELS)).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    for index, network in enumerate(apart):
        own = network(waveform, valid, features)
        torch.testing.assert_close(own, logits[:, index], rtol=1e-4, atol=1e-5)
        functional.cross_entropy(own, LABELS).backward()
        for mine, theirs in ((gradients["spectral.last_convolution.weight"].chunk(3)[index],
                              network.spectral.last_convolution.weight),
                             (gradients[f"spectral.pictures.{index}.0.0.weight"],
                              network.spectral.pictures[0][0][0].weight),
                             (gradients[f"head.heads.{index}.0.weight"], network.head.heads[0][0].weight)):
            assert (3 * mine - theirs.grad).norm() < 1e-3 * theirs.grad.norm()


def test_first_weights_are_those_of_a_network_alone():
    last = build("spectral", preset(4)).spectral.last_convolution
    assert last.weight.shape == (4 * 8, 5 * 16 + 2, 3)
    for own in last.weight.chunk(4):
        assert 0.9 < own.abs().max() * (82 * 3)**0.5 <= 1.0


def test_one_member_answers_the_same_in_training():
    model, some = build("spectral", preset(1), seed=1).eval(), inputs()
    before = model(*some)
    model.head.train()
    assert torch.equal(model(*some), before) and before.shape == (4, 7)


def test_a_temperature_goes_into_the_folder(tmp_path):
    model, some = build("spectral", preset(2), seed=1).eval(), inputs()
    with torch.no_grad():
        before = model(*some)
        divide_logits(model, 2.0)
        divide_logits(model, 1.5)
        save(tmp_path, model, {"card": 1})
        torch.testing.assert_close(load(tmp_path)[0](*some), before / 3, rtol=1e-5, atol=1e-6)
