"""Which files of ser_ops and reproduction a module uses, read from its source.

A stage depends on them, a packaged model carries them.

Used is what is imported at the top of a file or inside of a function, directly or by others; modules and sibling files
that a string names, since they are started or copied, and of a package so named all modules, since one is looked up
there; and the templates that lie beside a module.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import ser_ops

SOURCE = Path(ser_ops.__file__).resolve().parents[1]
PACKAGES = ("ser_ops", "reproduction")
_MODULE = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)+")
_TEMPLATES = (".j2", ".css", ".js")
_PACKAGE = "__init__.py"    # nobody starts or copies it by that name


def file_of(module: str) -> Path | None:
    """The file of a module of ser_ops, relative to `SOURCE`; None for what is no module of it.

    >>> file_of("ser_ops.errors").as_posix()
    'ser_ops/errors.py'
    """
    path = Path(*module.split("."))
    files = (path.with_suffix(".py"), path / _PACKAGE) if path.parts[0] in PACKAGES else ()
    return next((file for file in files if (SOURCE / file).is_file()), None)


def closure(module: str) -> set[Path]:
    """Files that a module uses, itself among them, relative to `SOURCE`, without packages that run nothing.

    Raises ValueError for what is no module of ser_ops.

    >>> sorted(path.name for path in closure("ser_ops.seeds"))
    ['seeds.py']
    """
    if file_of(module) is None:
        raise ValueError(f"{module}: is no module of ser_ops")
    used = {path for name in _with_packages(module) if (path := file_of(name))}
    waiting = list(used)
    while waiting:
        for file in _used_by(waiting.pop()) - used:
            used.add(file)
            waiting.append(file)
    return {file for file in used if runs(file)}


def runs(file: Path) -> bool:
    """Whether a file does anything when it is imported or read: a docstring alone does not."""
    return file.suffix != ".py" or any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
                                       for node in _tree(file).body)


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse((SOURCE / file).read_text(encoding="utf-8"))


@cache
def _used_by(file: Path) -> frozenset[Path]:
    if file.suffix != ".py":
        return frozenset()
    folder = (SOURCE / file).parent
    used = {path for module in _modules(_tree(file)) if (path := file_of(module))}
    used |= {file.parent / path.name for path in folder.iterdir() if path.suffix in _TEMPLATES}
    used |= {file.parent / name for name in _strings(_tree(file)) if name.endswith(".py") and "/" not in name
             and name != _PACKAGE and (folder / name).is_file()}
    return frozenset(used)


def _modules(tree: ast.Module) -> Iterator[str]:
    """Names of what a file imports, and of the packages that hold it, since they run too."""
    for node in _executed(tree):
        named = list[str]()
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in named:
            yield from _with_packages(name)
    for name in filter(_MODULE.fullmatch, (text.rstrip(".") for text in _strings(tree))):  # f"package.{module}" too
        yield name
        yield from _inside(name)


def _inside(package: str) -> Iterator[str]:
    """The modules that lie in a package: one of them is looked up by the name that a table holds."""
    file = file_of(package)
    if file is not None and file.name == _PACKAGE:
        yield from (f"{package}.{path.stem}" for path in sorted((SOURCE / file).parent.glob("[!_]*.py")))


def _with_packages(name: str) -> list[str]:
    """A module and the packages around it, but for the outermost: ser_ops itself imports only what it is asked for."""
    parts = name.split(".")
    return [".".join(parts[:number]) for number in range(2, len(parts) + 1)]


def _strings(tree: ast.Module) -> Iterator[str]:
    return (node.value for node in _executed(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those below `if TYPE_CHECKING`, which no run ever reaches."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [child for child in ast.iter_child_nodes(node) if not _for_types_alone(child)]


def _for_types_alone(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
