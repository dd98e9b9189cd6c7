"""YAML and JSON from outside: plain data comes back, anything else is one line, quickly and in little memory."""

import json
import os
import socket
import string
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from ser_ops.corpora.csv_manifest import read_labels
from ser_ops.documents import DEEPEST, LONGEST_YAML, parse_json, parse_yaml, read_json, read_yaml, validated_model
from ser_ops.errors import UserError
from ser_ops.storage.download import Part
from ser_ops.storage.download import PartJournal as Parts
from ser_ops.tracking.outbox import Journal

PROJECT = Path(__file__).resolve().parents[1]
QUICK = 5.0     # seconds, on a machine that does other work too
PARSERS = {"YAML": parse_yaml, "JSON": parse_json}
TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Cn", "Co")), max_size=20)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-10**18, 10**18) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12)


def refused(parse, content) -> str:
    began = time.monotonic()
    with pytest.raises(UserError) as raised:
        parse(content, "here")
    assert time.monotonic() - began < QUICK
    line = str(raised.value)
    assert line.startswith("here: ") and line.isprintable() and len(line) < 400
    return line


def bomb(levels: int) -> str:
    names = string.ascii_lowercase
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{names[at]}: &{names[at]} [{', '.join([f'*{names[at - 1]}'] * 9)}]" for at in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(("content", "words"), [
    ("[" * 200_000, "more than 64 deep"), ("- " * 200_000, "more than 64 deep"), ("{a: " * 70, "more than 64 deep"),
    (bomb(9), "aliases expand to more than 10,000 values"), ("a: &a [*a]", "contains itself"),
    ("a: *b", "is undefined, or contains itself"), ("a: 1\nb: 2\na: 3", "in line 3: the key 'a' is given twice"),
    ("a: 1\n'a': 2", "is given twice"), ("<<: {a: 1}\n<<: {a: 2}", "is given twice"),
    ("!!int x", "invalid literal"), ("a: !!python/object/apply:os.system [x]", "is not plain data"),
    ("!mine x", "is not plain data"), ("a: !!set {b}", "is not plain data"), ("a: !!binary aGk=", "is not plain data"),
    ("a:\n\tb: 1", "in line 2"), ("a: [1,", "not YAML in line"), ("a: 1\n---\nb: 2", "another document"),
    ("? [a]\n: 1", "unhashable"), ("<<: 1", "merging"), ("a: 0b_", "base 2"), ("a: 1" + ":59" * 1000, "digits"),
    ("a: " + "9" * 5000, "digits"), ("a: \x1b[2Jb", "control characters"), ("a\x00b", "control characters"),
    ('a: "\\ud800"', "escape"), (b"a: Gr\xfc\xdfe", "byte 0xfc is not UTF-8"), ("a: é".encode("utf-16"), "not UTF-8"),
    (b"\x00\x01\xfe\xff", "not UTF-8"), (b"a: 1\n" * 2**18, "larger than 0.5 MiB"), ("a: \"\x85\x1b", "not YAML"),
])
def test_yaml_that_is_no_plain_data_is_one_line(content, words):
    assert words in refused(parse_yaml, content)


@pytest.mark.parametrize(("content", "words"), [
    ("[" * 200_000, "more than 64 deep"), ('{"a":' * 200_000, "more than 64 deep"), ("[" * 300 + "]" * 300, "64 deep"),
    ("", "Expecting value"), ("{", "line 1"), ("nul", "Expecting value"), ("[1]x", "Extra data"),
    ('{"a": NaN}', "NaN is no number"), ("[-Infinity]", "-Infinity is no number"), ("1e999", "beyond every number"),
    ("9" * 5000, "5000 digits"), ('{"a": 1, "b": 2, "a": 3}', "the key 'a' is given twice"),
    ('{"a\x1b[2J": 1}', "control character"), (b'"Gr\xfc\xdfe"', "byte 0xfc is not UTF-8"),
    (b"\xff\xfe{\x00", "not UTF-8"),
    (b" " * (2**24 + 1), "larger than 16 MiB"), ("[" + "[]," * 10 + '{"k": 1, "k": 1}]', "twice"),
])
def test_json_that_is_no_strict_json_is_one_line(content, words):
    assert words in refused(parse_json, content)


@pytest.mark.parametrize("language", PARSERS)
def test_as_deep_as_allowed_and_no_deeper(language):
    parse = PARSERS[language]
    assert parse("[" * DEEPEST + "1" + "]" * DEEPEST, "here") is not None
    assert "deep" in refused(parse, "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1))


def test_depth_is_counted_through_aliases():
    chain = "\n".join(["- &a0 [1]", *(f"- &a{at} [*a{at - 1}]" for at in range(1, 70))])
    assert "deep" in refused(parse_yaml, chain)


def test_merges_and_aliases_as_params_yaml_has_them():
    text = (PROJECT / "params.yaml").read_text()
    assert parse_yaml(text, "here") == yaml.safe_load(text)
    assert parse_yaml("a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}\ne: {<<: *x}\nf: *x", "here") == {
        "a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}, "e": {"b": 1, "c": 2}, "f": {"b": 1, "c": 2}}


def test_what_editors_write_in_front_and_what_looks_like_a_date(tmp_path):
    (tmp_path / "a.yaml").write_bytes("\ufeffa: 2024-13-45\nb: 2024-01-01 10:00:00".encode())
    assert read_yaml(tmp_path / "a.yaml", "get it") == {"a": "2024-13-45", "b": "2024-01-01 10:00:00"}
    (tmp_path / "a.json").write_bytes('\ufeff{"a": 1}'.encode())
    assert read_json(tmp_path / "a.json") == {"a": 1}
    assert parse_yaml("", "here") is None and parse_yaml("# nothing", "here") is None


@pytest.mark.parametrize("filler", ["[],", "{a: 1},", "&a{0} x,", "'x',"])
def test_a_text_of_the_longest_kind_is_read_in_seconds(filler):
    """A quarter of what is allowed: of many small values nothing is quadratic."""
    unit = [filler.replace("{0}", str(at)) for at in range(LONGEST_YAML // 4 // len(filler))]
    began = time.process_time()
    parse_yaml("[" + "".join(unit) + "]", "here")
    assert time.process_time() - began < 2 * QUICK


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200) | st.text("[]{}&*!:-?<'\"|>%@`#, \n\tab019.eE_~=\x1b\x85", max_size=60))
def test_whatever_comes_is_data_or_one_line(content):
    for parse in PARSERS.values():
        try:
            parse(content, "here")
        except UserError as error:
            assert str(error).isprintable() and len(str(error)) < 400


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(PLAIN)
def test_plain_data_comes_back(value):
    assert parse_json(json.dumps(value), "here") == value
    assert parse_yaml(yaml.safe_dump(value, allow_unicode=True), "here") == value


@pytest.mark.parametrize("read", [read_json, lambda path: read_yaml(path, "get it")])
def test_what_is_no_file_is_said_and_nothing_waits(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    for name, words in (("pipe", "a pipe, a socket or a device"), ("loop", "cannot be read"), ("none", "No such file"),
                        ("folder", "Is a directory"), ("socket", "cannot be read"), ("n" * 300, "too long"),
                        ("a\0b", "null byte"), ("/dev/zero", "a device")):
        began = time.monotonic()
        with pytest.raises(UserError, match=words) as raised:
            read(tmp_path / name)
        assert time.monotonic() - began < QUICK and "\n" not in str(raised.value)
    server.close()


class _Choice(BaseModel, extra="forbid"):
    epochs: int
    names: list[str] = []


@pytest.mark.parametrize(("content", "words"), [
    ({"epocs": 1}, "epochs: missing key; epocs: unknown key, did you mean 'epochs'?"),
    ({"epochs": "x" * 10_000}, "epochs is 'xxx"), ({1: 2}, "epochs: missing key"), ([], "all of it is []"),
    ({"epochs": 1, "\x1b[2J": 1}, r"\x1b[2J: unknown key"), ({"epochs": 1, "names": [1] * 100}, "and 95 more"),
    ({"epochs": [[[]]]}, "epochs is [[[]]]"), (None, "all of it is None"), ({"epochs": float("nan")}, "epochs is nan")])
def test_a_value_that_cannot_be_is_named_in_one_line(content, words):
    with pytest.raises(UserError) as raised:
        validated_model(_Choice, content, "here", "mend it")
    assert words in str(raised.value) and str(raised.value).isprintable() and len(str(raised.value)) < 1000


@pytest.mark.parametrize("content", [
    b"", b"- 1", b"[" * 200_000, bomb(9).encode(), b"preset: Gr\xfc\xdfe", b"\x7fELF\x02\x01" + bytes(100)])
def test_ser_ops_with_damaged_settings_answers_in_one_line(tmp_path, content):
    (tmp_path / "params.yaml").write_bytes(content)
    done = subprocess.run([sys.executable, "-c", "from ser_ops.cli import main; main()", "corpora", "list"],
                          cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.startswith("error: params.yaml: ")
    assert done.stderr.count("\n") == 1 and len(done.stderr) < 1000


def test_a_line_of_a_journal_that_is_none_is_left_out_or_said(tmp_path):
    file = tmp_path / "parts"
    file.write_text('["a", "b", 0, 8, 5]\n[1]\n{"a": 1}\n[[], "b", 0, 1, 2]\n["a", "b", "x", 8, 5]\n5\n' + "[" * 9000)
    assert Parts(file).parts("a", "b") == {Part(0, 8): 5}
    kept = tmp_path / "run.jsonl"
    kept.write_text('{"metrics": [["loss", NaN, 1, 1]]}\n')
    assert len(Journal(kept).entries) == 1, "a figure may be no number"
    for line in ("[1]", "{", "[" * 9000, "null"):
        kept.write_text(f"{line}\n")
        with pytest.raises(UserError, match="remove it to go on without what it holds"):
            Journal(kept)


@pytest.mark.parametrize(("content", "words"), [
    ("joy: happy\njoy: sad", "is given twice"), ("- joy", "holds no labels"), ("[" * 200_000, "64 deep"),
    ("1: happy", "is not text")])
def test_a_file_of_labels_has_the_same_reader(tmp_path, content, words):
    (tmp_path / "labels.yaml").write_text(content)
    with pytest.raises(UserError, match=words):
        read_labels(str(tmp_path / "labels.yaml"))
