"""`make pythons` finds Pythons and says why one does not do; its minutes of installing are no part of the tests."""

import sys
from pathlib import Path

import pytest

from infra import pythons

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_a_python_in_the_folder_of_pyenv_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    assert pythons.here(RUNNING) is None
    there = tmp_path / "versions" / f"{RUNNING}.9" / "bin" / "python"
    there.parent.mkdir(parents=True)
    there.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    there.chmod(0o755)
    assert pythons.here(RUNNING) == sys.executable
    assert pythons.here("3.99") is None


@pytest.mark.slow
def test_the_planted_model_answers_and_a_python_that_does_not_do_fails(tmp_path, capsys, monkeypatch):
    model, clip = pythons._planted(tmp_path)
    answer = pythons.predict(Path(sys.prefix), model, clip)
    assert abs(sum(answer.values()) - 1) < 1e-3 and len(answer) == 7
    monkeypatch.setattr(pythons, "_planted", lambda folder: (model, clip))
    assert pythons.main(["/bin/false"]) == 1
    assert "install: /bin/false is no Python 3.11, 3.12 or 3.13" in capsys.readouterr().out
