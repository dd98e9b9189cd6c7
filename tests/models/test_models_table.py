"""Table VI's parameter counts, and how every model behaves."""

import pytest
import torch
from transformers import Wav2Vec2Config

from ser_ops.config import Preset, load
from ser_ops.features import shape_of
from ser_ops.models import MODELS, EmotionModel, build, count

PRESETS = load().presets
SMALL = PRESETS["small"]
NAMES = tuple(MODELS)


def inputs(preset: Preset, rows: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    waveform = 0.1 * torch.randn(rows, 40000, generator=generator)
    valid = torch.tensor([40000, 30000, 20001, 9000] * rows)[:rows]
    return waveform, valid, torch.randn(rows, *shape_of(preset.features), generator=generator)


def in_serial(preset: Preset) -> Preset:
    return preset.model_copy(update={"features": preset.features.model_copy(update={"layout": "serial"})})


def on_paper(name: str, preset: Preset = PRESETS["paper"]) -> EmotionModel:
    with torch.device("meta"):      # counts alone, no memory and no checkpoint
        return build(name, preset, backbone_config=Wav2Vec2Config().to_dict())


@pytest.mark.parametrize(("name", "row", "parameters"), [
    ("spectral", "A", 20_291_207), ("wav2vec", "B", 94_471_047), ("concat", "C", 114_761_223),
    ("fusion", "D", 115_352_583)])
def test_parameters_of_the_paper_preset(name: str, row: str, parameters: int) -> None:
    assert MODELS[name].row == row == on_paper(name).row
    assert count(on_paper(name)) == parameters


def test_spectral_embedding_of_the_paper() -> None:
    model = on_paper("spectral")
    assert count(model.spectral) == 20_224_640
    assert model.spectral.project[1].in_features == 128 * 297
    frames = PRESETS["paper"].model_copy(update={
        "features": PRESETS["paper"].features.model_copy(update={"layout": "frames"})})
    assert round(count(on_paper("spectral", frames).spectral) / 1e6, 1) == 1.7


@pytest.mark.parametrize("preset", [SMALL, in_serial(SMALL)], ids=["frames", "serial"])
@pytest.mark.parametrize("name", NAMES)
def test_logits_and_streams(name: str, preset: Preset) -> None:
    model = build(name, preset).eval()
    waveform, valid, features = inputs(preset)
    with torch.inference_mode():
        logits = model(waveform, valid, features)
        assert logits.shape == (4, 7) and torch.isfinite(logits).all()
        assert torch.equal(logits, model(waveform, valid, features))
        assert torch.equal(logits, model.classify(model.context(waveform, valid), features))
        other_features = model(waveform, valid, features + 1)
        other_waveform = model(waveform.roll(1, 0), valid, features)
    assert torch.equal(logits, other_features) == ("spectral" not in model.streams)
    assert torch.equal(logits, other_waveform) == ("wav2vec" not in model.streams)


@pytest.mark.parametrize("name", NAMES)
def test_alone_or_in_a_batch(name: str) -> None:
    model = build(name, SMALL).eval()
    batch = inputs(SMALL)
    with torch.inference_mode():
        together = model(*batch)
        alone = torch.cat([model(*(part[row:row + 1] for part in batch)) for row in range(4)])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["wav2vec", "concat", "fusion"])
def test_padding_does_not_matter(name: str) -> None:
    model = build(name, SMALL).eval()
    waveform, _, features = inputs(SMALL, 1)
    speech, valid = waveform[:, :17000], torch.tensor([17000])
    with torch.inference_mode():
        answers = [model(torch.nn.functional.pad(speech, (0, more)), valid, features) for more in (0, 3000, 23000)]
        answers.append(model(torch.nn.functional.pad(speech, (0, 23000), value=0.7), valid, features))
    for answer in answers[1:]:
        torch.testing.assert_close(answer, answers[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("valid", [0, 1, 399])
def test_next_to_nothing_is_answered(valid: int) -> None:
    waveform, _, features = inputs(SMALL, 1)
    with torch.inference_mode():
        assert torch.isfinite(build("fusion", SMALL).eval()(waveform, torch.tensor([valid]), features)).all()


def test_loudness_is_heard_by_the_small_configuration() -> None:
    model = build("wav2vec", SMALL).eval()
    waveform, valid, features = inputs(SMALL)
    with torch.inference_mode():
        assert not torch.allclose(model(waveform, valid, features), model(4 * waveform, valid, features), atol=1e-3)


def test_same_seed_same_weights_and_the_global_generator_stays() -> None:
    torch.manual_seed(6)
    before = torch.get_rng_state()
    first, again, other = (build("fusion", SMALL, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def step(model: EmotionModel) -> dict[str, torch.Tensor]:
    """Gradients after one backward pass, by parameter."""
    waveform, valid, features = inputs(SMALL)
    torch.nn.functional.cross_entropy(model(waveform, valid, features), torch.tensor([0, 2, 4, 6])).backward()
    return {name: one.grad for name, one in model.named_parameters() if one.grad is not None}


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_everything_that_is_tuned(name: str) -> None:
    model = build(name, SMALL)
    gradients = step(model)
    tuned = {key for key, one in model.named_parameters() if one.requires_grad}
    assert set(gradients) == tuned
    # keys' biases shift every score of a frame alike, so that attention does not see them
    assert all(gradient.abs().sum() > 0 for key, gradient in gradients.items() if not key.endswith("k_proj.bias"))
    untouched = {key for key, _ in model.named_parameters()} - tuned
    assert untouched <= {"backbone.network.masked_spec_embed"}


def with_training(trainable: str, tuned_layers: int = 0) -> Preset:
    update = {"trainable": trainable, "tuned_layers": tuned_layers, "layers": 2}
    return SMALL.model_copy(update={"wav2vec": SMALL.wav2vec.model_copy(update=update)})


@pytest.mark.parametrize(("preset", "layers"), [(with_training("frozen"), ()), (with_training("partly", 1), (1,))])
def test_frozen_parts_do_not_move(preset: Preset, layers: tuple[int, ...]) -> None:
    model = build("fusion", preset)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    step(model)
    torch.optim.AdamW(model.parameter_groups(0.01, 0.01), weight_decay=0.1).step()
    for name, after in model.named_parameters():
        free = not name.startswith("backbone.") or any(f".layers.{layer}." in name for layer in layers)
        assert after.requires_grad == free, name
        assert torch.equal(before[name], after) != free or name.endswith("k_proj.bias"), name
    assert not model.backbone.network.training and model.head.training
    training = [layer.training for layer in model.backbone.network.encoder.layers]
    assert training == [number in layers for number in range(len(training))]


def test_frozen_backbone_gives_the_same_states_in_training() -> None:
    model = build("fusion", with_training("frozen"))
    waveform, valid, _ = inputs(SMALL)
    first, again = (model.backbone(waveform, valid)[0] for _ in range(2))
    assert torch.equal(first, again) and not first.requires_grad


def test_two_rates_and_no_decay_of_biases_and_norms() -> None:
    model = build("fusion", SMALL)
    groups = {group["name"]: group for group in model.parameter_groups(0.1, 0.01)}
    assert {name: group["lr"] for name, group in groups.items()} == {
        "new": 0.1, "new, no decay": 0.1, "backbone": 0.01, "backbone, no decay": 0.01}
    optimiser = torch.optim.AdamW(groups.values(), weight_decay=0.3)
    assert [group["weight_decay"] for group in optimiser.param_groups] == [
        0.0 if "no decay" in name else 0.3 for name in groups]
    names = {id(one): name for name, one in model.named_parameters()}
    spared = {names[id(one)] for name, group in groups.items() if "no decay" in name for one in group["params"]}
    assert "head.0.bias" in spared and "spectral.blocks.0.1.weight" in spared      # a BatchNorm
    assert "head.0.weight" not in spared and "pooling.score.weight" not in spared
    in_groups = sum(one.numel() for group in groups.values() for one in group["params"])
    assert in_groups == sum(one.numel() for one in model.parameters() if one.requires_grad)


def trained(seed: int) -> dict[str, torch.Tensor]:
    model = build("fusion", SMALL, seed=seed)
    optimiser = torch.optim.AdamW(model.parameter_groups(0.01, 0.001))
    torch.manual_seed(seed)     # dropout
    for _ in range(2):
        optimiser.zero_grad()
        step(model)
        optimiser.step()
    return model.state_dict()


def test_training_is_settled_by_its_seed_bit_for_bit() -> None:
    first, again = trained(1), trained(1)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_training_in_bfloat16_stays_near() -> None:
    model = build("fusion", SMALL).eval()
    batch = inputs(SMALL)
    with torch.inference_mode():
        exact = model(*batch)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(*batch)
    torch.testing.assert_close(rough.float(), exact, rtol=0.1, atol=0.1)


def test_spectral_layer_sees_time() -> None:
    model = build("fusion", SMALL).eval()
    maps: list[torch.Tensor] = []
    model.spectral_layer().register_forward_hook(lambda module, given, made: maps.append(made))
    with torch.inference_mode():
        model(*inputs(SMALL))
    assert maps[0].shape == (4, SMALL.spectral.channels[-1], 20)    # 79 frames halved twice
    with pytest.raises(ValueError, match="no spectral stream"):
        build("wav2vec", SMALL).spectral_layer()
