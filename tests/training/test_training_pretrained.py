"""A pretrained Wav2Vec 2.0 in training, by a checkpoint that the test makes: what moves, what is kept, what is cut."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
import yaml
from project_copy import write_settings
from small_checkpoint import LAYERS, small_checkpoint
from test_training_stages import project
from training_standins import settings

from ser_ops.config.data import Paths
from ser_ops.config.params import Params, load_params
from ser_ops.dataset.examples import Examples
from ser_ops.errors import UserError
from ser_ops.files import write_json
from ser_ops.models import model_folder
from ser_ops.models.checkpoint import digest
from ser_ops.shards import Shards, write_index, write_shard
from ser_ops.stages.training_run import fresh_model, open_examples
from ser_ops.training.loop import fit
from ser_ops.training.states import with_backbone_states

CPU = torch.device("cpu")


def named(folder: Path) -> dict[str, str]:
    """The settings that name the checkpoint in a folder."""
    return {"checkpoint": str(folder), "revision": digest(folder)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after its features stage, whose utterances are shorter and longer than the window, and checkpoints."""
    folder = project(tmp_path_factory.mktemp("pretrained") / "project")
    store, random = folder / "work/ingest/waveforms", np.random.default_rng(5)
    noises = [(name, 0.1 * random.normal(size=random.integers(1200, 5000))) for name in Shards(store)]
    write_index(store, write_shard(store, 0, noises))
    write_json(folder / "work/tuning/best.json", {"values": {}})
    for norm in ("group", "layer"):
        small_checkpoint(folder / "pretrained" / norm, norm)
    return folder


def params_of(folder: Path, norm: str, **wav2vec: object) -> Params:
    """The project's params with a checkpoint, and nothing random in the model's own parts."""
    loaded = load_params(folder / "params.yaml")
    stream = loaded.wav2vec.model_copy(update={
        **named(folder / "pretrained" / norm), "states": "weighted", "cache_states": False, "dropout": 0.0, **wav2vec})
    paths = {name: folder / path for name, path in loaded.paths}
    return loaded.model_copy(update={"wav2vec": stream, "paths": Paths(**paths)})


def parts_of(params: Params, model: str = "wav2vec") -> list[Examples]:
    return [open_examples(params, model, partition) for partition in ("train", "validation")]


def trained(params: Params, name: str = "wav2vec", **values: object):
    """The fresh model's weights, the trained one, and what training said."""
    model = fresh_model(params, name, 1)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    result = fit(model, *parts_of(params, name), settings(epochs=1, **values), CPU, quiet=True)
    return before, model, result


@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize(("trainable", "number"), [("frozen", 0), ("partly", 1), ("partly", 2), ("all", 0)])
def test_only_what_is_tuned_moves(made: Path, norm: str, trainable: str, number: int) -> None:
    before, model, _ = trained(params_of(made, norm, trainable=trainable, tuned_layers=number), "fusion")
    network = {key.removeprefix("backbone.network.") for key, tensor in model.state_dict().items()
               if key.startswith("backbone.network.") and not torch.equal(tensor, before[key])}
    layers = {f"encoder.layers.{layer}" for layer in range(LAYERS)}
    moved = {part for part in {*layers, "feature_extractor", "feature_projection", "encoder.pos_conv_embed"}
             if any(key.startswith(f"{part}.") for key in network)}
    tuned = {"frozen": set(), "partly": {f"encoder.layers.{LAYERS - 1 - layer}" for layer in range(number)},
             "all": {*layers, "feature_extractor", "feature_projection", "encoder.pos_conv_embed"}}[trainable]
    assert moved == tuned and "masked_spec_embed" not in network
    if trainable != "all":
        assert all(any(key.startswith(f"{part}.") for part in tuned) for key in network), "nothing else"
    assert not torch.equal(model.backbone.layer_sum.scores, before["backbone.layer_sum.scores"])


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_the_sum_weighs_the_checkpoint_s_own_layers(made: Path, tmp_path: Path, norm: str) -> None:
    params = params_of(made, norm, trainable="frozen")
    model = fresh_model(params, "fusion", 1).eval()
    batch = parts_of(params, "fusion")[0].batch(range(4))
    full = torch.full((4,), batch.waveform.shape[1])     # no padding: what is fed is the waveform, normalised
    network = transformers.Wav2Vec2Model.from_pretrained(made / "pretrained" / norm, attn_implementation="eager").eval()
    fed = (batch.waveform - batch.waveform.mean(1, keepdim=True)) / batch.waveform.std(1, correction=0, keepdim=True)
    with torch.inference_mode():
        answer = network(fed, output_hidden_states=True)
        layers = torch.stack([*answer.hidden_states[:-1], answer.last_hidden_state])
        assert len(layers) == LAYERS + 1
        torch.testing.assert_close(model.backbone(batch.waveform, full)[0], layers.mean(0), rtol=1e-3, atol=1e-4)
        scores = torch.tensor([0.3, -1.0, 2.0, 0.5])
        model.backbone.layer_sum.scores.copy_(scores)
        expected = (scores.exp() / scores.exp().sum())[:, None, None, None] * layers
        torch.testing.assert_close(model.backbone(batch.waveform, full)[0], expected.sum(0), rtol=1e-3, atol=1e-4)
        model_folder.save(tmp_path, model, {})
        again, card = model_folder.load(tmp_path)
        given = batch.waveform, batch.valid, batch.features
        assert torch.equal(again(*given), model(*given)), "the weights are the model's own, and kept with it"
        assert card["preset_settings"]["wav2vec"]["states"] == "weighted"
        model.backbone.layer_sum.scores.copy_(torch.tensor([-1e4] * LAYERS + [0.0]))
        last = fresh_model(params_of(made, norm, trainable="frozen", states="last"), "wav2vec", 1).eval()
        torch.testing.assert_close(model.backbone(*given[:2])[0], last.backbone(*given[:2])[0])
    (group,) = [group for group in model.parameter_groups(1.0, 0.1)
                if any(parameter is model.backbone.layer_sum.scores for parameter in group["params"])]
    assert group["lr"] == 1.0 and group["weight_decay"] == 0.0, "the scores learn at the head's rate"


@pytest.mark.parametrize(("norm", "states"), [("group", "weighted"), ("layer", "weighted"), ("layer", "last")])
def test_kept_states_train_as_waveforms_do(made: Path, tmp_path: Path, norm: str, states: str) -> None:
    params = params_of(made, norm, trainable="frozen", states=states, cache_states=True)
    model = fresh_model(params, "fusion", 1)
    plain = parts_of(params, "fusion")
    kept = with_backbone_states(model, plain, tmp_path, CPU, params.compute.model_copy(update={"workers": 1}))
    batch, heard = (part.batch([0, 1, 2]) for part in (kept[0], plain[0]))
    assert any(row.in_noise for row in kept[1].rows), "noisy validation rows are kept too"
    assert batch.waveform.dtype == torch.float16 and batch.waveform.shape[:2] == (3, 1 if states == "last" else 4)
    assert torch.equal(batch.valid, heard.valid) and torch.equal(batch.features, heard.features)

    def run(parts: list[Examples], network: bool):
        model = fresh_model(params, "fusion", 1)
        if not network:
            model.backbone.network.forward = None       # nothing may call it
        first = parts[0].batch(range(16))
        answers = model.eval()(first.waveform, first.valid, first.features)
        # Slowly: AdamW makes steps of equal size of the smallest gradients, and so much of rounding at a high rate.
        result = fit(model, *parts, settings(epochs=2, keep="last", learning_rate=1e-4), CPU, quiet=True)
        return answers, result.history

    (expected, history), (actual, other) = run(plain, True), run(kept, False)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    for epoch, other_epoch in zip(history, other, strict=True):
        assert epoch.train_loss == pytest.approx(other_epoch.train_loss, rel=1e-5)
        assert epoch.validation_loss == pytest.approx(other_epoch.validation_loss, rel=1e-5)


def test_states_are_computed_once_and_a_killed_computation_goes_on(made: Path, tmp_path: Path) -> None:
    params = params_of(made, "layer", trainable="frozen", cache_states=True)
    compute = params.compute.model_copy(update={"workers": 1})

    def filled(params: Params, name: str = "wav2vec") -> list[Examples]:
        return with_backbone_states(fresh_model(params, name, 1), parts_of(params, name), tmp_path, CPU, compute)

    filled(params)
    (store,) = tmp_path.iterdir()
    rows = list(Shards(store))
    assert len(rows) == sum(map(len, parts_of(params))) and len(set(rows)) == len(rows)
    written = {file.name: file.stat().st_mtime_ns for file in store.iterdir()}
    shards = sorted(name for name in written if name.startswith("shard"))
    bytes_before = (store / shards[3]).read_bytes()
    filled(params, "concat")
    assert {file.name: file.stat().st_mtime_ns for file in store.iterdir()} == written, "another model, the same states"
    for name in ("index.csv", shards[3]):
        (store / name).unlink()
    filled(params)
    again = {file.name: file.stat().st_mtime_ns for file in store.iterdir()}
    assert again.keys() == written.keys() and (store / shards[3]).read_bytes() == bytes_before
    assert [name for name in shards if again[name] != written[name]] == [shards[3]]

    other = named(small_checkpoint(made / "other", "layer", 2))
    filled(params.model_copy(update={"wav2vec": params.wav2vec.model_copy(update=other)}))
    assert len(list(tmp_path.iterdir())) == 2, "another checkpoint has states of its own"
    store = made / "work/ingest/waveforms"
    before = [(name, np.array(value)) for name, value in Shards(store).items()]
    write_index(store, write_shard(store, 0, [(name, 1.5 * value + 0.01) for name, value in before]))
    filled(params)
    write_index(store, write_shard(store, 0, before))
    assert len(list(tmp_path.iterdir())) == 3, "so has other sound of the same length"


@pytest.mark.parametrize("change", [{"trainable": "all"}, {"trainable": "partly", "tuned_layers": 1},
                                    {"cache_states": False}, {"checkpoint": None}])
def test_what_may_change_is_not_kept(made: Path, tmp_path: Path, change: dict) -> None:
    params = params_of(made, "layer", **{"trainable": "frozen", "cache_states": True, **change})
    parts = parts_of(params)
    assert with_backbone_states(fresh_model(params, "wav2vec", 1), parts, tmp_path, CPU, params.compute) == parts
    assert not list(tmp_path.iterdir())


def test_states_beyond_half_precision_are_said(made: Path, tmp_path: Path) -> None:
    folder = small_checkpoint(tmp_path / "loud", "layer")
    network = transformers.Wav2Vec2Model.from_pretrained(folder)
    with torch.no_grad():
        network.encoder.layer_norm.weight.fill_(1e6)
    network.save_pretrained(folder)
    params = params_of(made, "layer", **named(folder), trainable="frozen", cache_states=True)
    with pytest.raises(UserError, match=r"exceed what float16 holds.*cache_states to false"):
        with_backbone_states(fresh_model(params, "wav2vec", 1), parts_of(params), tmp_path, CPU,
                             params.compute.model_copy(update={"workers": 1}))


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_bfloat16_trains_close_to_float32(made: Path, norm: str) -> None:
    params = params_of(made, norm, trainable="all")
    (_, exact, full), (_, half, low) = (trained(params, precision=name) for name in ("float32", "bfloat16"))
    assert low.history[0].train_loss == pytest.approx(full.history[0].train_loss, rel=0.02)
    assert low.history[0].train_loss != full.history[0].train_loss, "it did compute otherwise"
    assert {tensor.dtype for tensor in half.parameters()} == {torch.float32}, "weights stay as they are"
    batch = parts_of(params)[0].batch(range(8))
    given = batch.waveform, batch.valid, batch.features
    with torch.inference_mode():
        expected = exact.eval()(*given).softmax(1)
        with torch.autocast("cpu", torch.bfloat16):
            answers = exact(*given).float().softmax(1)
    assert torch.isfinite(answers).all() and (answers - expected).abs().max() < 0.02


def test_batches_of_like_lengths_compute_less_and_answer_the_same(made: Path) -> None:
    params = params_of(made, "layer", trainable="all")

    def heard(buckets: int) -> tuple[int, torch.Tensor]:
        """Samples that the network is given in an epoch, and answers to one batch with their gradient."""
        model, samples = fresh_model(params, "wav2vec", 1), []
        model.backbone.network.feature_extractor.register_forward_pre_hook(
            lambda _, given: samples.append(given[0].numel()))
        train, validation = parts_of(params)
        plan = settings(epochs=1, length_buckets=buckets, batch_size=7)
        fit(model, train, validation.subset([0]), plan, CPU, quiet=True)
        spent = sum(samples)
        fresh = fresh_model(params, "wav2vec", 1)
        short = np.argsort(train.valid, kind="stable")[:6]
        batch = train.in_buckets(buckets).batch(short)
        fresh(batch.waveform, batch.valid, batch.features).logsumexp(1).sum().backward()
        assert batch.waveform.shape[1] == train.in_buckets(buckets).lengths[short].max()
        return spent, torch.cat([parameter.grad.flatten() for parameter in fresh.parameters()
                                 if parameter.grad is not None])

    (all_of_it, expected), (cut, actual) = heard(1), heard(16)
    assert cut < 0.85 * all_of_it
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-5)


def test_a_model_that_depends_on_padding_is_not_cut(made: Path) -> None:
    with pytest.raises(UserError, match="length_buckets is 4, but this model's answers depend on padding"):
        trained(params_of(made, "group", trainable="all"), length_buckets=4)
    params = params_of(made, "group", trainable="all")
    model = fresh_model(params, "spectral", 1)
    fit(model, *parts_of(params, "spectral"), settings(epochs=1, length_buckets=4), CPU, quiet=True)


@pytest.mark.slow
def test_the_train_stage_with_a_frozen_checkpoint(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ser_ops.stages import train
    values = yaml.safe_load((made / "params.yaml").read_text())
    values["wav2vec"] |= {**named(made / "pretrained/group"), "trainable": "frozen", "states": "weighted"}
    values["train"] |= {"epochs": 2, "accumulate": 2, "length_buckets": 4}
    write_settings(made, values)
    monkeypatch.chdir(made)
    train.main()
    model, card = model_folder.load(made / "work/models/fusion")
    assert card["training"]["epochs"] == card["training"]["accumulate"] == 2
    assert card["backbone"] == f"checkpoint {made / 'pretrained/group'}"
    network = transformers.Wav2Vec2Model.from_pretrained(made / "pretrained/group").state_dict()
    assert all(torch.equal(tensor, network[name]) for name, tensor in model.backbone.network.state_dict().items())
    assert not torch.equal(model.backbone.layer_sum.scores, torch.zeros(LAYERS + 1))
    (store,) = (made / "state/states").iterdir()
    assert len(Shards(store)) == 84 + 28, "noisy validation rows too"
