"""Rows to batches: what is read, in which order, and how labels are shuffled."""

import tracemalloc
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ser_ops.audio.signal import fit_window
from ser_ops.dataset.examples import Examples, Stores, loader, ordered_batches, rows_of_epoch, shuffled_batches
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.manifest import VariantRow, read_variants, write_rows
from ser_ops.shards import write_index, write_shard

CPU = torch.device("cpu")


def work_folder(root, utterances=14, variants=("original", "noisy"), samples=900):
    """A work folder as the pipeline leaves it, with made-up arrays."""
    random, rows = np.random.default_rng(1), []
    stores = {"ingest/waveforms": [], "augmented/waveforms": [], "features/features": []}
    for index in range(utterances):
        name, emotion = f"made/{index:02d}", EMOTIONS[index % 7]
        partition = ("train", "train", "validation")[index % 3]
        for variant in variants if partition == "train" else ("original",):
            row = f"{name}#{variant}"
            rows.append(VariantRow(row, name, variant, partition, emotion, f"made/{index % 4}", "made", True))
            wave = random.normal(size=samples + index).astype(np.float32)
            if variant == "original":
                stores["ingest/waveforms"].append((name, wave))
            else:
                stores["augmented/waveforms"].append((row, wave))
            stores["features/features"].append((row, random.normal(size=(5, 3)).astype(np.float32)))
    for name, arrays in stores.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        write_index(root / name, write_shard(root / name, 0, arrays))
    write_rows(root / "augmented" / "variants.csv", rows, VariantRow)
    return dict(stores["ingest/waveforms"] + stores["augmented/waveforms"]), dict(stores["features/features"])


def test_a_batch_is_what_lies_on_disk(tmp_path):
    waveforms, features = work_folder(tmp_path)
    train = Examples.open(tmp_path, "train", "features", 0.05, 16000)
    assert len(train) == 20 and {row.variant for row in train.rows} == {"original", "noisy"}
    batch = train.batch([3, 0, 7])
    assert batch.waveform.dtype == torch.float32 and batch.waveform.shape == (3, 800)
    assert batch.valid.dtype == batch.labels.dtype == torch.int64 and len(batch) == 3
    for position, index in enumerate([3, 0, 7]):
        row = train.rows[index]
        window, valid = fit_window(waveforms[row.utterance if row.variant == "original" else row.row], 800)
        assert np.array_equal(batch.waveform[position], window) and batch.valid[position] == valid
        assert np.array_equal(batch.features[position], features[row.row])
        assert EMOTIONS[batch.labels[position]] == row.emotion and batch.rows[position] == row


def test_short_utterances_are_padded_and_say_so(tmp_path):
    work_folder(tmp_path, samples=100)
    batch = Examples.open(tmp_path, "validation", "features", 0.05, 16000).batch([0])
    assert batch.valid[0] == 102 and not batch.waveform[0, 102:].any() and batch.waveform[0, :102].all()


@pytest.mark.parametrize(("streams", "waveform", "features"), [
    (("wav2vec",), True, False), (("stacked",), False, True), (("wav2vec", "spectral"), True, True),
    (None, True, True)])
def test_batches_hold_nothing_that_a_model_does_not_read(tmp_path, streams, waveform, features):
    work_folder(tmp_path)
    model = torch.nn.Identity()
    if streams:
        model.streams = streams
    whole = Examples.open(tmp_path, "train", "features", 0.05, 16000)
    batch, full = whole.for_model(model).batch([3, 0]), whole.batch([3, 0])
    assert batch.waveform.shape == (2, 800 if waveform else 0)
    assert (batch.valid == (full.valid if waveform else 0)).all()
    assert batch.features.shape == ((2, 5, 3) if features else (2, 0)) and torch.equal(batch.labels, full.labels)
    assert not waveform or torch.equal(batch.waveform, full.waveform)
    assert not features or torch.equal(batch.features, full.features)


def test_memory_stays_bounded(tmp_path):
    work_folder(tmp_path, utterances=42, samples=200_000)       # 50 MB on disk
    train = Examples.open(tmp_path, "train", "features", 0.05, 16000)
    tracemalloc.start()
    for batch in loader(train, shuffled_batches(len(train), 4, 1, 1), CPU):
        assert torch.isfinite(batch.waveform).all()
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


@given(st.integers(2, 400), st.integers(2, 64), st.integers(1, 4), st.integers(1, 9))
def test_every_index_once_in_batches_that_batchnorm_can_take(count, size, parts, epoch):
    if count < 2 * parts:
        return
    batches = shuffled_batches(count, size, 7, epoch, parts)
    assert sorted(np.concatenate(batches)) == list(range(count))
    lengths = [len(part) for batch in batches for part in (batch[rank::parts] for rank in range(parts))]
    assert min(lengths) >= 2
    assert max(map(len, batches)) - min(map(len, batches)) <= 1
    assert max(map(len, batches)) <= max(size, 2 * parts) + (2 * parts - 1)


@given(st.integers(4, 200), st.integers(2, 32), st.integers(1, 4), st.data())
def test_batches_of_like_lengths_are_as_complete_and_no_less_random(count, size, parts, data):
    if count < 2 * parts:
        return
    lengths = np.array(data.draw(st.lists(st.integers(1, 5), min_size=count, max_size=count)))
    batches = shuffled_batches(count, size, 7, 1, parts, lengths)
    assert sorted(np.concatenate(batches)) == list(range(count))
    assert sorted(map(len, batches)) == sorted(map(len, shuffled_batches(count, size, 7, 1, parts)))
    spans = sorted((lengths[batch].min(), lengths[batch].max()) for batch in batches)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_like_lengths_are_drawn_anew_in_each_epoch():
    lengths = np.repeat([1, 2, 3], 20)
    first, repeated, second = (shuffled_batches(60, 10, 7, epoch, lengths=lengths) for epoch in (1, 1, 2))
    assert all(map(np.array_equal, first, repeated))
    assert not any(set(batch) == set(other) for batch in first for other in second)
    assert [lengths[batch[0]] for batch in first] != sorted(lengths[batch[0]] for batch in first)


def test_a_batch_is_cut_to_its_longest_bucket(tmp_path):
    work_folder(tmp_path, samples=100)      # 100 to 113 samples in a window of 800
    train = Examples.open(tmp_path, "train", "features", 0.05, 16000)
    cut = train.in_buckets(8).with_shuffled_labels(1)
    both, short = train.batch([0, 2]), cut.batch([0, 2])
    assert both.waveform.shape == (2, 800) and short.waveform.shape == (2, 200)
    assert torch.equal(short.waveform, both.waveform[:, :200]) and torch.equal(short.valid, both.valid)
    assert cut.batch([0]).waveform.shape == (1, 100) and train.lengths.tolist() == [800] * 20
    assert train.in_buckets(7).lengths.max() == 115
    assert set(Examples(train.rows, train.stores, 50, buckets=3).lengths) == {50}, "never longer than the window"


def test_order_comes_from_seed_and_epoch_alone():
    def order(seed, epoch):
        np.random.rand()
        return np.concatenate(shuffled_batches(50, 8, seed, epoch)).tolist()
    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(1, 2) != order(2, 2)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.integers(1, 30))
def test_no_speaker_has_more_rows_in_an_epoch_than_allowed_and_each_row_its_turn(speakers, most):
    epochs = [rows_of_epoch(speakers, most, 7, epoch) for epoch in range(1, 4)]
    for rows in epochs:
        assert list(rows) == sorted(set(rows))
        assert Counter(np.array(speakers)[rows]) == {name: min(most, number)
                                                     for name, number in Counter(speakers).items()}
    assert np.array_equal(rows_of_epoch(speakers, None, 7, 1), np.arange(len(speakers)))
    assert np.array_equal(rows_of_epoch(speakers, most, 7, 2), epochs[1])


def test_epochs_hear_other_rows_of_a_speaker_and_one_speaker_says_nothing_about_another():
    many = ["a"] * 1000 + ["b"] * 10
    first, second = (rows_of_epoch(many, 100, 7, epoch) for epoch in (1, 2))
    assert 5 < len(set(first) & set(second) - set(range(1000, 1010))) < 25     # a tenth of a tenth
    assert np.array_equal(rows_of_epoch(many[:1000], 100, 7, 1), first[first < 1000])


@given(st.integers(0, 100), st.integers(1, 32))
def test_in_order_covers_all(count, size):
    batches = ordered_batches(count, size)
    assert [index for batch in batches for index in batch] == list(range(count))
    assert all(len(batch) <= size for batch in batches)


def test_shuffled_labels_keep_classes_and_variants_together(tmp_path):
    work_folder(tmp_path, utterances=63)
    train = Examples.open(tmp_path, "train", "features", 0.05, 16000)
    other = train.with_shuffled_labels(1)
    assert Counter(other.labels) == Counter(train.labels)
    by_utterance = {}
    for row, label in zip(other.rows, other.labels, strict=True):
        by_utterance.setdefault(row.utterance, set()).add(int(label))
    assert all(len(labels) == 1 for labels in by_utterance.values())
    assert np.mean(other.labels == train.labels) < 0.4
    assert np.array_equal(other.labels, train.with_shuffled_labels(1).labels)
    assert not np.array_equal(other.labels, train.with_shuffled_labels(2).labels)


def test_shuffling_does_not_depend_on_the_order_of_rows(tmp_path):
    work_folder(tmp_path)
    train = Examples.open(tmp_path, "train", "features", 0.05, 16000)
    backwards = Examples(train.rows[::-1], train.stores, train.length)
    assert np.array_equal(train.with_shuffled_labels(3).labels, backwards.with_shuffled_labels(3).labels[::-1])


def test_faults_say_what_to_do(tmp_path):
    table = tmp_path / "variants.csv"
    with pytest.raises(UserError, match="cannot be read"):
        read_variants(table)
    table.write_text("row,utterance\n")
    with pytest.raises(UserError, match="no column variant, partition"):
        read_variants(table)
    write_rows(table, [VariantRow("a#original", "a", "original", "train", "cross", "s", "c")], VariantRow)
    with pytest.raises(UserError, match="unknown emotion 'cross'"):
        read_variants(table)
    write_rows(table, [VariantRow("a#original", "a", "original", "train", "sad", "s", "c")], VariantRow)
    with pytest.raises(UserError, match="no row of the validation partition"):
        read_variants(table, "validation")
    row = VariantRow("a#noisy", "a", "noisy", "train", "sad", "s", "c")
    with pytest.raises(UserError, match="a#noisy: has no waveform"):
        Examples([row], Stores({}, {}, {}), 10)
    with pytest.raises(UserError, match="a#noisy: has no features"):
        Examples([row], Stores({}, {"a#noisy": np.zeros(3)}, {}), 10)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_pinned_batches_arrive_whole_and_in_order(tmp_path):
    work_folder(tmp_path)
    train = Examples.open(tmp_path, "train", "features", 0.05, 16000)
    batches = ordered_batches(len(train), 3)
    for indices, batch in zip(batches, loader(train, batches, torch.device("cuda")), strict=True):
        assert batch.waveform.is_cuda and torch.equal(batch.waveform.cpu(), train.batch(indices).waveform)
