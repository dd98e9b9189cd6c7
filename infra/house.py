"""Draw the pictures of the docs from the code: python -m infra.house, or make graph.

The rooms of the project and who imports whom come from the imports, the pipeline from dvc.yaml. tests/test_docs.py
compares what lies in docs/ with what is drawn here.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path

from ser_ops.documents import read_yaml
from ser_ops.files import write_text
from ser_ops.imports import SOURCE

PAGE = "docs/explanation/architecture.md"
BEGIN, END = "<!-- rooms: make graph -->", "<!-- end of rooms -->"
BESIDE = ("pipelines", "reproduction")      # packages beside ser_ops that use it
THEMES = {"light": {"ink": "#1f2328", "soft": "#59636e", "line": "#8c959f", "box": "#f6f8fa", "one": "#ddf4ff",
                    "two": "#dafbe1", "three": "#fff1e5"},
          "dark": {"ink": "#f0f6fc", "soft": "#9198a1", "line": "#6e7681", "box": "#21262d", "one": "#12324a",
                   "two": "#16361f", "three": "#43290f"}}
STAGES = {"ingest": "16 kHz, partitions", "validate": "Great Expectations", "augment": "noise and pitch",
          "audit": "leaks", "features": "both papers'", "tune": "Optuna", "train": "with checkpoints",
          "ablate": "and shuffled labels", "evaluate": "clean, noise grid", "behave": "small changes",
          "explain": "and its faithfulness", "judge": "the gate's rules", "report": "one page"}
REGISTRY = {"register": "candidate", "promote": "staging", "production": "judged again", "predict": "file to emotion",
            "explain": "page to listen to", "serve": "MLflow, HTTP"}


def graph() -> dict[str, set[str]]:
    """The rooms, and which rooms each imports: folders and modules of ser_ops, and the packages beside it."""
    rooms: dict[str, set[str]] = {}
    for package in ("ser_ops", *BESIDE):
        for file in sorted((SOURCE / package).rglob("*.py")):
            room = file.relative_to(SOURCE / "ser_ops").with_suffix("").parts[0] if package == "ser_ops" else package
            if room != "__init__":
                rooms.setdefault(room, set()).update(set(_imported(file)) - {room})
    return rooms


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == "ser_ops" and rest:
                yield rest.split(".")[0]


def floors(rooms: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """The floor of each room: 1 for one that imports no other, else one above the highest that it imports.

    >>> floors({"cli": ["models"], "models": ["files"], "files": []})
    {'files': 1, 'models': 2, 'cli': 3}
    """
    floor_of: dict[str, int] = {}

    def visit(room: str) -> int:
        if room not in floor_of:
            floor_of[room] = 1 + max((visit(below) for below in rooms[room]), default=0)
        return floor_of[room]

    for room in rooms:
        visit(room)
    return floor_of


def arrows(rooms: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Of all imports, those that no longer way over other rooms stands for."""
    floor_of = floors(rooms)
    below: dict[str, set[str]] = {}
    for room in sorted(rooms, key=floor_of.__getitem__):
        below[room] = set(rooms[room]).union(*(below[other] for other in rooms[room]))
    return {room: {other for other in others if not any(other in below[between] for between in others)}
            for room, others in rooms.items()}


def about(room: str) -> str:
    """What a room holds: its docstring up to the first mark, such as a colon, a semicolon or a full stop."""
    path = SOURCE / room if room in BESIDE else SOURCE / "ser_ops" / room
    file = path / "__init__.py" if _is_folder(room) else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return re.split(r"[:;.(]", " ".join(text.split()), maxsplit=1)[0].strip()


def _is_folder(room: str) -> bool:
    return room in BESIDE or (SOURCE / "ser_ops" / room / "__init__.py").is_file()


def listing() -> str:
    """The folders as a Markdown list, the highest floor first."""
    rooms = graph()
    floor_of = floors(rooms)
    folders = [room for room in rooms if _is_folder(room)]
    return "\n".join(f"- `{room}` ({floor_of[room]}): {about(room)}"
                     for room in sorted(folders, key=lambda room: (-floor_of[room], room)))


def _text(x: float, y: float, words: str, fill: str, size: int, weight: str = "normal") -> str:
    return (f'<text x="{x:g}" y="{y:g}" fill="{fill}" font-size="{size}" font-weight="{weight}" '
            f'text-anchor="middle">{escape(words)}</text>')


def _svg(width: int, height: int, title: str, parts: Iterable[str], line: str) -> str:
    return "\n".join((
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="system-ui, sans-serif">', f"<title>{escape(title)}</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{line}"/></marker></defs>', *parts, "</svg>", ""))


def house(theme: str) -> str:
    """An SVG of the rooms by floor, with the arrows between folders; single modules, which all may use, have none."""
    ink, rooms = THEMES[theme], graph()
    floor_of, top = floors(rooms), max(floors(rooms).values())
    folders = {room for room in rooms if _is_folder(room)}
    middle: dict[str, tuple[float, float]] = {}
    boxes = []
    for floor in range(top, 0, -1):
        row = sorted((room for room in rooms if floor_of[room] == floor), key=lambda room: (room not in folders, room))
        for number, room in enumerate(row):
            x, y = 500 + (number - (len(row) - 1) / 2) * 116, 30 + (top - floor) * 62
            middle[room] = (x, y)
            fill = ink["one"] if room in folders else ink["box"]
            boxes += [f'<rect x="{x - 52:g}" y="{y - 15:g}" width="104" height="30" rx="5" fill="{fill}" '
                      f'stroke="{ink["line"]}"/>', _text(x, y + 4, room, ink["ink"], 13)]
    lines = [f'<path d="M{middle[room][0]:g} {middle[room][1] + 15:g} L{middle[other][0]:g} '
             f'{middle[other][1] - 16:g}" stroke="{ink["line"]}" opacity="0.7" marker-end="url(#tip)"/>'
             for room, others in sorted(arrows(rooms).items()) if room in folders for other in sorted(others)
             if other in folders]
    return _svg(1000, 60 + (top - 1) * 62, "The rooms of the project and which imports which", lines + boxes,
                ink["line"])


def pipeline(theme: str) -> str:
    """An SVG of the pipeline: recordings, the stages of dvc.yaml in two rows, the registry and what is asked of it."""
    ink = THEMES[theme]
    stages = list(read_yaml(SOURCE / "dvc.yaml", "the graph")["stages"])
    split = stages.index("tune")
    rows = (("one", "Data · DVC", {"data.dvc": "speech and noise"} | {name: STAGES[name] for name in stages[:split]}),
            ("two", "Model · DVC, recorded in MLflow", {name: STAGES[name] for name in stages[split:]}),
            ("three", "Registry and answers · MLflow", REGISTRY))
    parts = []
    for number, (colour, title, boxes) in enumerate(rows):
        y = 30 + number * 104
        parts.append(f'<text x="{76 if number else 12}" y="{y - 8}" fill="{ink["soft"]}" font-size="13">{escape(title)}'
                     "</text>")
        for column, (name, words) in enumerate(boxes.items()):
            x = 12 + column * 124
            parts += [f'<rect x="{x}" y="{y}" width="106" height="52" rx="6" fill="{ink[colour]}" '
                      f'stroke="{ink["line"]}"/>', _text(x + 53, y + 22, name, ink["ink"], 14, "600"),
                      _text(x + 53, y + 40, words, ink["soft"], 10)]
            if column and (boxes is not REGISTRY or column < 4):     # the last three are asked in any order
                parts.append(f'<path d="M{x - 17} {y + 26} H{x - 3}" stroke="{ink["line"]}" marker-end="url(#tip)"/>')
        if number:
            last = 12 + (len(rows[number - 1][2]) - 1) * 124 + 53
            parts.append(f'<path d="M{last} {y - 51} V{y - 28} H65 V{y - 3}" fill="none" stroke="{ink["line"]}" '
                         'marker-end="url(#tip)"/>')
    return _svg(1000, 308, "From recordings to a promoted model", parts, ink["line"])


def drawn() -> dict[str, str]:
    """Every file that is drawn, by its path from the project's folder."""
    page = (SOURCE / PAGE).read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    pictures = {f"docs/images/{draw.__name__}-{theme}.svg": draw(theme) for draw in (house, pipeline)
                for theme in THEMES}
    return pictures | {PAGE: f"{before}{BEGIN}\n{listing()}\n{END}{rest.partition(END)[2]}"}


def main() -> None:
    """Draw all of it again."""
    for name, text in drawn().items():
        write_text(SOURCE / name, text)


if __name__ == "__main__":
    main()
