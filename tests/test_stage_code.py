"""dvc.yaml names all code that a stage uses and nothing else; what that is, is computed from imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra import stage_code
from ser_ops import imports
from ser_ops.documents import read_yaml
from ser_ops.errors import UserError
from ser_ops.methods import METHODS
from ser_ops.model_table import MODELS

STAGES = sorted({command.rsplit(".", 1)[1]: command
                 for command in ("ser_ops.stages." + path.stem for path in
                                 (imports.SOURCE / "ser_ops" / "stages").glob("[a-z]*.py"))}.values())
# Imports every stage in a child of one process that has the heavy libraries already, and tells what came with it.
_LOADED = """
import json, os, sys
import torch, pandas, scipy.signal, librosa, matplotlib.pyplot
for stage in sys.argv[1:]:
    reader, writer = os.pipe()
    if os.fork() == 0:
        __import__(stage)
        with os.fdopen(writer, "w") as pipe:
            json.dump([name for name in sys.modules if name.startswith("ser_ops.")], pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        print(json.dumps([stage, json.load(pipe)]))
"""


@pytest.mark.parametrize("graph", stage_code.GRAPHS)
def test_the_graph_names_the_code_that_its_stages_use(graph: str) -> None:
    text = (imports.SOURCE / graph).read_text(encoding="utf-8")
    assert stage_code.written(text) == text, "run: python -m infra.stage_code"
    for name, stage in read_yaml(imports.SOURCE / graph, "a graph")["stages"].items():
        dependencies = stage.get("do", stage)["deps"]       # do: of a stage that stands for several
        assert any(dependency.startswith("ser_ops/stages/") for dependency in dependencies), name


def test_what_a_stage_loads_is_among_what_was_computed() -> None:
    lines = subprocess.run([sys.executable, "-c", _LOADED, *STAGES], cwd=imports.SOURCE, check=True,
                           stdout=subprocess.PIPE, text=True).stdout.splitlines()
    assert len(lines) == len(STAGES) > 10
    for line in lines:
        stage, loaded = json.loads(line)
        files = {file for name in loaded if (file := imports.file_of(name)) and imports.runs(file)}
        assert files <= imports.closure(stage), stage
        assert len(files) > 5


@pytest.mark.parametrize("stage", ["ser_ops.stages.explain", "reproduction.paper2"])
def test_modules_that_a_catalogue_names_are_among_them(stage: str) -> None:
    used = {file.as_posix() for file in imports.closure(stage)}
    assert {f"ser_ops/explain/methods/{name}.py" for name in METHODS} <= used
    assert {f"ser_ops/models/{entry.network.split(':')[0]}.py" for entry in MODELS.values()} <= used


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of a few modules in the place of this one."""
    files = {"__init__.py": "from ser_ops.room import typed\n",
             "top.py": "from ser_ops.room import first\nNAME = '__init__.py'\n",
             "room/__init__.py": "", "room/first.py": "from typing import TYPE_CHECKING\n"
             "if TYPE_CHECKING:\n    from ser_ops.room import typed\n"
             "def late():\n    import ser_ops.room.lazy\n    return 'ser_ops.room.started', 'copied.py', 'none.py'\n",
             "room/lazy.py": "from ser_ops import deep\n", "room/started.py": "X = 1\n", "room/copied.py": "Y = 1\n",
             "room/typed.py": "Z = 1\n", "room/page.j2": "a page",
             "deep/__init__.py": "from ser_ops.deep.inner import A", "deep/inner.py": "A = 1\n",
             "idle.py": "import ser_ops.top\n"}
    for name, text in files.items():
        path = tmp_path / "ser_ops" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(imports, "SOURCE", tmp_path)
    monkeypatch.setattr(stage_code, "SOURCE", tmp_path)
    for cached in (imports._tree, imports._used_by):
        cached.cache_clear()
        monkeypatch.setattr(imports, cached.__name__, cached.__wrapped__)
    return tmp_path


def test_lazy_started_and_copied_modules_count_and_types_do_not(source: Path) -> None:
    used = {file.as_posix().removeprefix("ser_ops/") for file in imports.closure("ser_ops.top")}
    assert used == {"top.py", "room/first.py", "room/lazy.py", "room/started.py", "room/copied.py", "room/page.j2",
                    "deep/__init__.py", "deep/inner.py"}


def test_a_folder_stands_for_all_of_its_files(source: Path) -> None:
    assert "ser_ops/deep" in stage_code.code_of("ser_ops.top")
    assert "ser_ops/room" not in stage_code.code_of("ser_ops.top")
    (source / "ser_ops/room/typed.py").unlink()
    assert "ser_ops/room" in stage_code.code_of("ser_ops.top")


def test_code_is_written_and_the_rest_stays(source: Path) -> None:
    graph = ("stages:\n  first:\n    cmd: python -m ser_ops.deep.inner\n    deps:\n      - data\n"
             "      - ser_ops/old.py\n      - work\n      - ser_ops/other\n    outs: [x]\n")
    assert stage_code.written(graph) == graph.replace("ser_ops/old.py", "ser_ops/deep").replace(
        "      - ser_ops/other\n", "")


@pytest.mark.parametrize("stage", ["cmd: echo\n    deps:\n      - ser_ops/a.py\n", "cmd: python -m ser_ops.idle\n"])
def test_a_stage_without_code_is_refused(source: Path, stage: str) -> None:
    with pytest.raises(UserError, match="stage first"):
        stage_code.written(f"stages:\n  first:\n    {stage}")


def test_no_such_module(source: Path) -> None:
    with pytest.raises(ValueError, match=r"ser_ops\.none"):
        imports.closure("ser_ops.none")
