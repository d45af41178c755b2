"""The wheel for boards: what is in it, and that its pins are those of the project."""

from __future__ import annotations

import ast
import importlib.metadata
import sys
import tomllib
import zipfile
from email.parser import Parser as MailParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import compile.packaging.wheel as wheels
from compile.support.errors import DeployError

_ROOT = Path(__file__).parents[4]
# Imported only for packages that read subwords, for signatures, for values that are normalised, and by services, with a
# word about what to install; and where it is there, as it is quicker.
_OPTIONAL = {"tokenizers", "cryptography", "prometheus_client", "rapidfuzz", "starlette", "uvicorn", "wyoming"}
_OPTIONAL |= {"dateparser", "unicode_rbnf"}
_DISTRIBUTIONS = {"iree": "iree-base-runtime", "msgspec": "msgspec", "numpy": "numpy"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build_wheel(tmp_path_factory.mktemp("wheel"))


def _imported() -> set[str]:
    found = set()
    for path in (_ROOT / "runtime_py").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {"runtime_py"}


def test_the_wheel_requires_what_its_code_imports_and_nothing_else() -> None:
    assert {_DISTRIBUTIONS[name] for name in _imported() - _OPTIONAL} == set(wheels.REQUIRED)


def test_pins_and_version_are_those_of_the_project(wheel: Path) -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        stated = MailParser().parsestr(archive.read(name).decode())
    pins = {Requirement(text) for text in project["dependencies"] if Requirement(text).name in wheels.REQUIRED}
    required = map(Requirement, stated.get_all("Requires-Dist", []))
    assert {requirement for requirement in required if requirement.marker is None} == pins, (
        "install the checkout again: pip install -e ."
    )
    assert (stated["Name"], stated["Version"], stated["Requires-Python"]) == (
        wheels.DISTRIBUTION,
        project["version"],
        project["requires-python"],
    )


def test_extras_of_a_board_are_those_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    stated = [*project["dependencies"]]
    for extra, requirements in project["optional-dependencies"].items():
        stated += [f"{requirement}; extra == '{extra}'" for requirement in requirements if "[" not in requirement]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: stated)
    extras = wheels.describe_project()["optional-dependencies"]
    assert set(extras) == set(wheels.EXTRAS)
    for extra, requirements in extras.items():
        assert set(map(Requirement, requirements)) == set(map(Requirement, project["optional-dependencies"][extra]))


def test_the_wheel_holds_the_runtime_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        script = next(archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert {name.split("/")[0].split("-")[0] for name in names} == {"runtime_py", "pqrnn_runtime"}
    assert "pqrnn = runtime_py.cli:main" in script
    sources = {
        path.relative_to(_ROOT).as_posix()
        for path in (_ROOT / "runtime_py").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sources == {name for name in names if name.startswith("runtime_py/")}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_two_builds_are_equal(wheel: Path, tmp_path: Path) -> None:
    assert wheels.build_wheel(tmp_path).read_bytes() == wheel.read_bytes()


def test_a_wheel_of_unknown_versions_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(wheels.metadata, "metadata", absent)
    with pytest.raises(DeployError, match="pip install"):
        wheels.build_wheel(tmp_path)


def test_a_dependency_that_is_not_pinned_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(wheels.metadata, "requires", lambda _: ["numpy>=2", 'msgspec; extra == "dev"'])
    with pytest.raises(DeployError, match="iree-base-runtime, msgspec"):
        wheels.build_wheel(tmp_path)
