import pickle
from pathlib import Path

import numpy as np
import pytest

from ser_ops.errors import UserError
from ser_ops.shards import HALF, Shards, write_index, write_shard


def store(folder):
    rng = np.random.default_rng(3)
    arrays = {"a": rng.normal(size=5), "b/c": rng.normal(size=(2, 3)), "empty": np.zeros(0)}
    names = list(arrays)
    entries = write_shard(folder, 0, [(name, arrays[name]) for name in names[:1]])
    entries += write_shard(folder, 1, [(name, arrays[name]) for name in names[1:]])
    write_index(folder, entries)
    return arrays


def test_arrays_come_back_in_their_shapes(tmp_path):
    arrays = store(tmp_path)
    shards = Shards(tmp_path)
    assert list(shards) == list(arrays) and len(shards) == 3 and "x" not in shards
    for key, array in arrays.items():
        assert shards.shape(key) == array.shape
        np.testing.assert_array_equal(shards[key], array.astype(np.float32))
    again = pickle.loads(pickle.dumps(shards))
    np.testing.assert_array_equal(again["a"], shards["a"])
    assert pickle.loads(pickle.dumps(Shards(tmp_path, keep_mapped=True))).__reduce__()[1] == (tmp_path, True)


def test_stored_arrays_cannot_be_written(tmp_path):
    store(tmp_path)
    with pytest.raises(ValueError, match="read-only"):
        Shards(tmp_path)["a"][0] = 1


def test_an_unfinished_or_damaged_store_is_said(tmp_path):
    with pytest.raises(UserError, match="not a finished store"):
        Shards(tmp_path)
    store(tmp_path)
    (tmp_path / "shard-00001.f32").write_bytes(b"1234")
    with pytest.raises(UserError, match="shorter than its index"):
        Shards(tmp_path)["b/c"]


def test_what_is_cut_off_or_gone_is_said(tmp_path):
    arrays = store(tmp_path)
    for key, array in arrays.items():
        np.testing.assert_array_equal(Shards(tmp_path)[key], array.astype(np.float32))
    for left in (3, 2, 0):
        with (tmp_path / "shard-00001.f32").open("r+b") as file:
            file.truncate(4 * left)
        with pytest.raises(UserError, match="shorter than its index"):
            Shards(tmp_path)["b/c"]
    (tmp_path / "shard-00001.f32").unlink()
    with pytest.raises(UserError, match=r"shard-00001.f32: cannot be read \(No such file or directory\)"):
        Shards(tmp_path)["b/c"]


def test_halves_take_half_the_place(tmp_path):
    values = np.random.default_rng(4).normal(size=(3, 5))
    write_index(tmp_path, write_shard(tmp_path, 0, [("a", values), ("b", values.T)], HALF))
    shards = Shards(tmp_path)
    assert shards["b"].dtype == np.float16 and np.array_equal(shards["b"], values.T.astype(np.float16))
    assert (tmp_path / "shard-00000.f16").stat().st_size == 2 * 2 * values.size


def resident(folder):
    """Bytes of the store's files that are mapped in memory, by the kernel's own account."""
    bytes_, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line.split()[0].endswith(":"):
            bytes_ += 1024 * int(line.split()[1]) if ours and line.startswith("Rss:") else 0
        else:
            ours = str(folder) in line
    return bytes_


def test_what_is_read_again_stays_where_it_is_small_and_what_is_held_stays_valid(tmp_path, monkeypatch):
    size, number = 2**18, 12
    entries = [entry for shard in range(number) for entry in write_shard(
        tmp_path, shard, [(f"{shard}", np.full(size, shard, np.float32))])]
    write_index(tmp_path, entries)
    held = {}
    whole = number * 4 * size
    monkeypatch.setattr("ser_ops.shards._HELD", 2 * 4 * size)
    for small, again, least, most in ((whole, True, whole, whole), (whole, False, 0, 5 * 4 * size),
                                      (whole - 1, True, 0, 5 * 4 * size)):
        monkeypatch.setattr("ser_ops.shards._SMALL", small)
        store = Shards(tmp_path, again)
        for key in store:
            held[key] = store[key]
            assert held[key].sum() == size * int(key)
        assert least <= resident(tmp_path) <= most
        assert all((array == int(key)).all() for key, array in held.items())
        held.clear()
        del store
