"""The loop: learns, stops, keeps the best, and gives the same bits for the same seed."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional
from training_standins import Tiny, bits, examples, settings

from ser_ops.errors import UserError
from ser_ops.training.history import Epoch, best_epoch, epochs_without_gain, read_history, write_history
from ser_ops.training.loop import Diverged, autocast_dtype, fit
from ser_ops.training.loss import class_weights, confusion_counts, learning_rate_share, loss_sum, uar

CPU = torch.device("cpu")


class Kept:
    """A logger that remembers."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, dict]] = []

    def metrics(self, values, step=None):
        self.seen.append((step, dict(values)))


def test_a_tiny_set_is_learnt_by_heart():
    few = examples(2, noise=0.5)
    result = fit(Tiny(dropout=0.0), few, few, settings(epochs=60, patience=60, label_smoothing=0.0), CPU)
    assert result.validation_uar == 1.0
    assert result.history[-1].train_loss < 0.3 * result.history[0].train_loss


def test_the_log_gets_each_epoch_under_the_common_names():
    log = Kept()
    result = fit(Tiny(), examples(4), examples(2, seed=2), settings(epochs=3), CPU, log=log)
    assert [step for step, _ in log.seen] == [1, 2, 3]
    assert set(log.seen[0][1]) == {"train/loss", "train/uar", "validation/loss", "validation/uar",
                                   "validation/clean_uar", "learning_rate"}
    assert log.seen[2][1]["validation/uar"] == result.history[2].validation_uar


def test_same_seed_same_bits_and_other_seed_other_bits():
    def weights(seed):
        return save(fit(Tiny(), examples(4), examples(2, seed=2), settings(epochs=2, seed=seed), CPU).best_state)
    assert weights(3) == weights(3) != weights(4)


def test_what_happened_before_does_not_matter():
    first = save(fit(Tiny(), examples(4), examples(2, seed=2), settings(epochs=2), CPU).best_state)
    torch.rand(100), np.random.rand(100)
    torch.set_num_threads(2)
    assert save(fit(Tiny(), examples(4), examples(2, seed=2), settings(epochs=2), CPU).best_state) == first
    assert torch.get_num_threads() == 2, "the caller's settings come back"
    torch.set_num_threads(1)


def test_model_ends_with_the_best_epoch_and_its_figures_hold():
    validation = examples(6, seed=2, noise=4)
    model = Tiny()
    result = fit(model, examples(3, noise=4), validation, settings(epochs=12, patience=12), CPU)
    assert result.history[result.best_epoch - 1] == best_epoch(result.history)
    batch = validation.batch(range(len(validation)))
    model.eval()
    with torch.no_grad():
        logits = model(batch.waveform, batch.valid, batch.features)
    assert uar(confusion_counts(logits, batch.labels)) == pytest.approx(result.validation_uar)
    weights = class_weights(examples(3).labels)
    loss = functional.cross_entropy(logits, batch.labels, weights, label_smoothing=0.05)
    assert float(loss) == pytest.approx(best_epoch(result.history).validation_loss, rel=1e-5)
    assert bits(dict(model.state_dict())) == bits(result.best_state)


HEARD_IN = ("original", "noisy_1")


class Spoilt(torch.nn.Module):
    """Right about seven in ten, clean and in noise, in the first epoch; then about all that is clean and no noise.

    An example's features say its class and, in their last row, whether it is in noise.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.register_buffer("epochs", torch.zeros(()))

    def train(self, mode: bool = True):
        self.epochs += mode
        return super().train(mode)

    def forward(self, waveform, valid, features):
        true, noisy = features[:, 0, 0].long(), features[:, -1, 0] > 0
        told = true if self.epochs < 2 else torch.where(noisy, (true + 1) % 7, true)
        told = torch.where((self.epochs < 2) & (true > 4), 0, told)
        return functional.one_hot(told, 7).float() * 5 + 0 * self.weight

    def parameter_groups(self, learning_rate, backbone_learning_rate):
        return [{"params": [self.weight]}]


def told(per_class: int, variants: tuple[str, ...], partition: str = "validation"):
    """Examples whose features say class and noise."""
    made = examples(per_class, variants=variants, partition=partition)
    made.stores.features.update({row.row: np.array([[row.label]] * 3 + [[row.in_noise]], np.float32)
                                 for row in made.rows})
    return made


def test_an_epoch_that_is_better_in_clean_and_useless_in_noise_is_not_chosen():
    train, plan = told(4, ("original",), "train"), settings(epochs=3, patience=2, batch_size=14)
    chosen = fit(Spoilt(), train, told(3, HEARD_IN), plan, CPU)
    assert chosen.best_epoch == 1 and len(chosen.history) == 3, "and it is stopped early"
    assert chosen.kept.validation_clean_uar == chosen.kept.validation_noisy_uar == pytest.approx(5 / 7)
    assert (chosen.history[1].validation_clean_uar, chosen.history[1].validation_noisy_uar) == (1.0, 0.0)
    assert fit(Spoilt(), train, told(3, ("original",)), plan, CPU).best_epoch == 2, "on clean speech alone it was"


def test_clean_and_noisy_count_alike_however_many_copies_there_are():
    plan = settings(epochs=2, patience=2, batch_size=14)
    copies = [fit(Spoilt(), told(4, ("original",), "train"), told(3, variants), plan, CPU).history[-1]
              for variants in (HEARD_IN, (*HEARD_IN, "noisy_2", "noisy_3"))]
    for epoch in copies:
        assert epoch.validation_uar == 0.5
        assert epoch.metrics()["validation/noisy_uar"] == 0.0 and epoch.metrics()["validation/clean_uar"] == 1.0
    assert copies[0].validation_loss == pytest.approx(copies[1].validation_loss)


def test_figures_of_clean_and_noisy_rows_are_scikit_learns():
    from sklearn.metrics import recall_score
    validation, model = examples(5, seed=2, noise=3, variants=HEARD_IN), Tiny()
    kept = fit(model, examples(5, noise=3), validation, settings(epochs=2, keep="last"), CPU).kept
    model.eval()
    for noisy, own in ((False, kept.validation_clean_uar), (True, kept.validation_noisy_uar)):
        batch = validation.batch([index for index, row in enumerate(validation.rows) if row.in_noise == noisy])
        with torch.no_grad():
            answers = model(batch.waveform, batch.valid, batch.features).argmax(1)
        assert own == pytest.approx(recall_score(batch.labels, answers, average="macro"))


def test_stops_when_validation_uar_has_not_risen():
    alike = examples(4, seed=2)
    alike.stores.features.update({key: np.zeros_like(value) for key, value in alike.stores.features.items()})
    result = fit(Tiny(), examples(4), alike, settings(epochs=30, patience=3, learning_rate=1e-5,
                                                      backbone_learning_rate=1e-5), CPU)
    assert len(result.history) == 3 + next(epoch.epoch for epoch in result.history
                                           if epoch.validation_uar == max(e.validation_uar for e in result.history))


def test_on_epoch_can_stop_it():
    result = fit(Tiny(), examples(4), examples(2, seed=2), settings(), CPU, on_epoch=lambda epoch: epoch.epoch == 2)
    assert result.stopped and len(result.history) == 2


def _history(*figures):
    return [Epoch(number, 1.0, 0.5, loss, value, 0.1, 1.0) for number, (value, loss) in enumerate(figures, 1)]


def test_best_epoch_breaks_ties_by_loss_then_by_order():
    assert best_epoch(_history((0.4, 1.0), (0.6, 2.0), (0.6, 1.5), (0.6, 1.5), (0.5, 0.1))).epoch == 3
    assert epochs_without_gain(_history((0.4, 1.0), (0.6, 2.0), (0.6, 1.5), (0.5, 0.1))) == 2
    assert epochs_without_gain([]) == 0


def test_history_reads_back_bit_for_bit(tmp_path):
    history = [*_history((1 / 3, math.pi), (0.1 + 0.2, 1e-17)),
               Epoch(3, 1.0, 0.5, 1 / 7, 1 / 9, 0.1, 1.0, validation_noisy_uar=2 / 3)]
    write_history(tmp_path / "history.csv", history)
    assert read_history(tmp_path / "history.csv") == history


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_class_weights_are_scikit_learns(labels):
    present = np.unique(labels)
    expected = compute_class_weight("balanced", classes=present, y=labels)
    weights = class_weights(np.array(labels)).numpy()
    assert weights[present] == pytest.approx(expected, rel=1e-6)
    assert not np.delete(weights, present).any()


@given(st.integers(0, 2**31), st.floats(0, 0.5))
def test_loss_is_torchs_weighted_mean(seed, smoothing):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(9, 7, generator=generator)
    labels = torch.randint(0, 7, (9,), generator=generator)
    weights = torch.rand(7, generator=generator) + 0.1
    expected = functional.cross_entropy(logits, labels, weights, label_smoothing=smoothing)
    assert torch.allclose(loss_sum(logits, labels, weights, smoothing) / weights[labels].sum(), expected, rtol=1e-5)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=50))
def test_uar_is_scikit_learns_macro_recall(pairs):
    from sklearn.metrics import recall_score
    true, predicted = map(list, zip(*pairs, strict=True))
    counts = confusion_counts(functional.one_hot(torch.tensor(predicted), 7).float(), torch.tensor(true))
    expected = recall_score(true, predicted, labels=sorted(set(true)), average="macro", zero_division=0)
    assert uar(counts) == pytest.approx(expected)


@given(st.integers(1, 300), st.floats(0, 0.9))
def test_learning_rate_rises_then_falls(steps, warmup):
    rates = [learning_rate_share(step, steps, warmup) for step in range(steps)]
    peak = max(range(steps), key=rates.__getitem__)
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[:peak + 1] == sorted(rates[:peak + 1]) and rates[peak:] == sorted(rates[peak:], reverse=True)


def test_loss_that_is_no_number_says_what_to_do():
    broken = examples(4)
    broken.stores.features.update({key: value * np.nan for key, value in broken.stores.features.items()})
    with pytest.raises(Diverged, match="is not a number: lower"):
        fit(Tiny(), broken, broken, settings(), CPU)


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_a_batch_in_parts_is_the_whole_batch(parts):
    """Plain: no example depends on the others of its batch. Batches of uneven classes, so that weights differ."""
    train = examples(8).subset([*range(40), 0, 7, 14, 21, 28, 35, 0, 7])

    def run(accumulate):
        return fit(Tiny(plain=True), train, examples(2, seed=2),
                   settings(epochs=2, accumulate=accumulate, batch_size=24, keep="last"), CPU)

    whole, summed = run(1), run(parts)
    assert len(set(train.labels)) == 7 and class_weights(train.labels).max() > 1.5 * class_weights(train.labels).min()
    for name, tensor in whole.best_state.items():
        torch.testing.assert_close(summed.best_state[name], tensor, rtol=1e-3, atol=1e-5, msg=name)
    assert summed.history[-1].train_loss == pytest.approx(whole.history[-1].train_loss, rel=1e-5)
    assert summed.history[-1].learning_rate == whole.history[-1].learning_rate, "steps are counted, not parts"


def test_too_few_rows():
    single = examples(1)
    single.rows, single.labels = single.rows[:1], single.labels[:1]
    with pytest.raises(UserError, match="too few"):
        fit(Tiny(), single, single, settings(), CPU)


@pytest.mark.parametrize(("instructions", "expected"), [
    ({"avx512_bf16": True}, torch.bfloat16), ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
    ({"avx2": True, "avx512_bf16": False}, torch.float32), ({}, torch.float32)])
def test_auto_is_bfloat16_where_the_processor_has_instructions_for_it(monkeypatch, instructions, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    assert autocast_dtype("auto", CPU) == expected
    assert autocast_dtype("float32", CPU) == torch.float32 and autocast_dtype("bfloat16", CPU) == torch.bfloat16


@pytest.mark.parametrize("name", ["bfloat16", "float32"])
def test_precisions(name):
    plan = settings(precision=name, epochs=15, patience=15)
    result = fit(Tiny(), examples(12, noise=0.3), examples(3, seed=2, noise=0.3), plan, CPU)
    assert result.validation_uar > 0.7
    assert result.best_state["head.1.weight"].dtype == torch.float32


@pytest.mark.slow
def test_shuffled_labels_end_at_chance():
    train = examples(30, noise=0.5, variants=("original", "noisy"))
    validation = examples(40, seed=2, noise=0.5)
    plan = settings(epochs=8, patience=8)
    assert fit(Tiny(), train, validation, plan, CPU).validation_uar > 0.8
    last = [fit(Tiny(), train.with_shuffled_labels(seed), validation, plan, CPU).history[-1].validation_uar
            for seed in range(6)]
    assert abs(np.mean(last) - 1 / 7) < 0.08
