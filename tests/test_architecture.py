"""An import points down, never up, and never in a circle; heavy tools live in one room each."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
FLOORS = {
    1: {"errors", "emotions", "seeds", "cards", "documents", "files", "folders", "manifest", "outside_table",
        "progress", "shards", "tables", "terminal", "caveats", "audio", "config", "methods", "model_table", "device",
        "imports"},
    2: {"extras", "noise", "corpora", "features", "pages", "speech", "storage", "transmission"},
    3: {"augment", "validation", "models"},
    4: {"dataset", "inference"},
    5: {"training", "evaluation", "report", "tracking"},
    6: {"explain", "gate", "onnx_export", "watch", "workspace"},
    7: {"scoring", "serving", "stages"},
    8: {"doctor", "papers"},
    9: {"cli"},
}
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
ONE_ROOM = {"mlflow": {"tracking"}, "great_expectations": {"validation"}, "boto3": {"storage"},
            "shap": {"explain"}, "captum": {"explain"}, "prefect": set(), "optuna": {"training"},
            "dask": {"progress"}, "distributed": {"progress"}, "opensmile": set(), "pyroomacoustics": {"transmission"},
            "fastapi": {"serving"}, "starlette": {"serving"}, "uvicorn": {"serving"}, "prometheus_client": {"serving"}}
FILES = sorted((PROJECT / "ser_ops").rglob("*.py"))


def imports(file: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def room(file: Path) -> str | None:
    parts = file.relative_to(PROJECT / "ser_ops").with_suffix("").parts
    return parts[0] if parts[0] != "__init__" else None


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PROJECT)))
def test_imports_point_down(file):
    here = room(file)
    if here is None:
        return
    assert here in FLOOR_OF, f"{here} has no floor"
    for name in imports(file):
        parts = name.split(".")
        if parts[0] == "ser_ops" and len(parts) > 1 and parts[1] != here and parts[1] in FLOOR_OF:
            there = parts[1]
            assert FLOOR_OF[there] < FLOOR_OF[here] or FLOOR_OF[here] == 1, f"{here} imports {there}, not below"
        assert parts[0] not in {"pipelines", "reproduction"}, f"{here} imports {parts[0]}, which uses the core"
        if parts[0] in ONE_ROOM:
            assert here in ONE_ROOM[parts[0]], f"{parts[0]} is imported in {here}"


def test_the_core_knows_of_reproduction_where_dvc_runs_it_alone():
    """The command, what it runs, the graph's files, the code of its stages, and its lock file, which is no code."""
    named = {file.relative_to(PROJECT / "ser_ops").as_posix() for file in FILES
             if "reproduction" in file.read_text(encoding="utf-8")}
    assert named <= {"cli/reproduce.py", "papers.py", "workspace.py", "imports.py", "tracking/runs.py"}


def test_rooms_have_no_cycles():
    graph: dict[str, set[str]] = {name: set() for name in FLOOR_OF}
    for file in FILES:
        if here := room(file):
            graph[here] |= {name.split(".")[1] for name in imports(file)
                            if name.startswith("ser_ops.") and name.split(".")[1] in FLOOR_OF} - {here}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for other in graph[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_no_pickle_of_models():
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        for word in ("torch.save(", "pickle.dump", "pickle.load", "joblib.", "torch.load("):
            assert word not in text, f"{word} in {file}"
