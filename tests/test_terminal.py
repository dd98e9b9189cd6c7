"""Printable lines whatever a name holds, in any locale, and JSON from which the exact name comes back."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_ops.cli.answers import print_answer
from ser_ops.terminal import print_line, printable

ODD = "Gr\udcf6\udcdfe \x1b[31m\u202egnp\x9b\x7f\u2028\n.wav"
# Every name that a file may have: bytes without NUL and slash, as Python hands them over.
names = st.binary(min_size=1, max_size=40).filter(lambda one: not set(one) & {0, 47}).map(os.fsdecode)


@given(names | st.text())
def test_what_is_shown_is_one_printable_line(name):
    line = printable(name)
    assert line.isprintable() and len(line.splitlines()) <= 1
    assert line == name or not name.isprintable()


@given(names)
def test_a_program_gets_the_exact_name_back(name):
    printed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ser_ops.cli.answers.print_line", printed.append)
        print_answer({"path": name}, True)
    (line,) = printed
    assert line.isascii() and printable(line) == line and json.loads(line) == {"path": name}


def test_each_line_of_an_answer_is_one_line(capsys):
    print_answer({}, False, "first", ODD)
    print_line(ODD, aside=True)
    said = capsys.readouterr()
    assert said.out.splitlines() == ["first", said.err.rstrip("\n")]


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"},
                                    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_no_locale_ends_in_a_traceback(tmp_path, locale):
    for arguments in (["predict", "sad €\udce9.wav"], ["predict", "\udcff\x1b[2J\n€.wav", "--model", "no\x1b[2J\nne€"],
                      ["predict", "-\x1b[2J€"], ["€\x1b"]):
        done = subprocess.run([sys.executable, "-m", "ser_ops.cli", *map(os.fsencode, arguments)], cwd=tmp_path,
                              capture_output=True, env={**os.environ, **locale}, timeout=60)
        (line,) = done.stderr.splitlines()
        assert done.returncode in (1, 2) and line.startswith(b"error: ") and b"\x1b" not in line, done.stderr


@pytest.mark.parametrize(("arguments", "words"), [
    (("predict", "-x.wav"), "No such option: -x: write ./NAME for a file whose name begins with -, or see"),
    (("predict",), "Missing argument 'files': see"), (("evaluate", "--manifest"), "requires an argument"),
    (("promote", "--to", "nowhere"), "'nowhere'"), (("sing",), "No such command 'sing': see")])
def test_a_fault_in_the_arguments_is_one_line(tmp_path, arguments, words):
    done = subprocess.run([sys.executable, "-m", "ser_ops.cli", *arguments], cwd=tmp_path, capture_output=True,
                          text=True, timeout=60)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith("error: ") and words in line and not done.stdout


def test_no_arguments_are_the_help(tmp_path):
    for arguments in ([], ["corpora"]):
        done = subprocess.run([sys.executable, "-m", "ser_ops.cli", *arguments], cwd=tmp_path, capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 2 and "Usage:" in done.stdout + done.stderr and len(done.stderr.splitlines()) > 3
