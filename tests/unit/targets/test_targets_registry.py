"""Where targets come from.

They come from this project, installed distributions and the user's folder, and none of them harms another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from targets import Registry, Source, TargetError, registry, shipped
from targets.registry import FOLDER_VARIABLE, shipped_source, user_folder, user_sources

BOARD = """
id = "acme-one"
base = "linux-aarch64-dotprod"
summary = "ACME One"

[board]
soc = "ACME 1"
cores = "2 x Cortex-A55"
features = ["crc", "dotprod", "fullfp16", "lse", "rcpc", "rdm"]
"""
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "acme-boards"
version = "1.2"

[project.entry-points."pqrnn.targets"]
{entries}

[tool.hatch.build.targets.wheel]
include = ["acme_boards", "acme_broken"]
"""


def source(name: str, folder: Path) -> Source:
    return Source(name, name, lambda: folder)


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name.replace('_', '-')}.toml").write_text(text)
    return folder


def build(root: Path, entries: dict[str, str]) -> Path:
    """Build and install a distribution `acme-boards` that brings a target, without a network.

    Returns the folder that it is installed in.
    """
    project = root / "acme"
    write(project / "acme_boards" / "boards", acme_one=BOARD)
    (project / "acme_boards" / "__init__.py").write_text("")
    (project / "acme_broken").mkdir()
    (project / "acme_broken" / "__init__.py").write_text("raise RuntimeError('the licence server does not answer')\n")
    (project / "pyproject.toml").write_text(
        PROJECT.format(entries="\n".join(f'{name} = "{value}"' for name, value in entries.items()))
    )
    quiet = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    pip = [sys.executable, "-m", "pip"]
    subprocess.run(
        [*pip, "wheel", *quiet, "--no-build-isolation", "--wheel-dir", str(root), str(project)], check=True, timeout=300
    )
    site = root / "site"
    wheel = next(root.glob("*.whl"))
    subprocess.run([*pip, "install", *quiet, "--target", str(site), str(wheel)], check=True, timeout=300)
    return site


@pytest.fixture(scope="module")
def good_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("good"), {"boards": "acme_boards:boards"})


@pytest.fixture(scope="module")
def broken_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    entries = {"boards": "acme_boards:boards", "broken": "acme_broken", "gone": "acme_boards:nowhere"}
    return build(tmp_path_factory.mktemp("broken"), entries)


def run(site: Path, mine: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `pqrnn targets` in a process of its own that finds what is installed in `site`."""
    path = os.pathsep.join(filter(None, [str(site), str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, FOLDER_VARIABLE: str(mine)}
    command = [sys.executable, "-m", "pqrnn", "targets", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)


def test_an_installed_distribution_brings_its_targets(good_site: Path, tmp_path: Path) -> None:
    listed = run(good_site, tmp_path, "--json")
    assert listed.returncode == 0, listed.stderr
    found = {target["id"]: target for target in json.loads(listed.stdout)}
    assert set(found) == {*shipped().names(), "acme-one"}
    assert found["acme-one"]["features"] == ["dotprod"]
    assert found["acme-one"]["triple"] == "aarch64-unknown-linux-gnu"
    shown = run(good_site, tmp_path, "show", "acme-one")
    assert shown.returncode == 0, shown.stderr
    assert "acme-boards 1.2: acme_boards:boards/acme-one.toml" in shown.stdout
    assert "ACME 1: 2 x Cortex-A55" in shown.stdout
    assert "own kernels" in shown.stdout  # what to expect, from the features of somebody else's target


def test_a_broken_distribution_is_named_and_harms_no_other_target(broken_site: Path, tmp_path: Path) -> None:
    listed = run(broken_site, tmp_path, "--json")
    assert listed.returncode == 1
    assert {target["id"] for target in json.loads(listed.stdout)} == {*shipped().names(), "acme-one"}
    assert (
        "targets of acme-boards 1.2 cannot be read: acme_broken: RuntimeError: the licence server does not answer"
        in listed.stderr
    )
    assert "targets of acme-boards 1.2 cannot be read: acme_boards:nowhere: FileNotFoundError" in listed.stderr
    assert "Traceback" not in listed.stderr
    for name in ("host", "acme-one"):
        shown = run(broken_site, tmp_path, "show", name)
        assert (shown.returncode, shown.stderr) == (0, "")
    missing = run(broken_site, tmp_path, "show", "acme-two")
    assert missing.returncode == 2
    assert "did you mean acme-one?" in missing.stderr
    assert "the licence server does not answer" in missing.stderr


def test_a_name_that_two_bring_belongs_to_neither(good_site: Path, tmp_path: Path) -> None:
    write(tmp_path, acme_one=BOARD)
    shown = run(good_site, tmp_path, "show", "acme-one")
    assert shown.returncode == 2
    said = (
        "target 'acme-one' is brought by acme-boards 1.2 (acme_boards:boards/acme-one.toml) "
        f"and your own folder ({tmp_path}/acme-one.toml)"
    )
    assert said in shown.stderr
    listed = run(good_site, tmp_path, "--json")
    assert listed.returncode == 1
    assert said in listed.stderr
    assert {target["id"] for target in json.loads(listed.stdout)} == set(shipped().names())


def test_nobody_takes_the_place_of_a_shipped_target(tmp_path: Path) -> None:
    taken = BOARD.replace("acme-one", "host")
    known = Registry([shipped_source(), source("acme", write(tmp_path, host=taken))])
    with pytest.raises(
        TargetError,
        match=r"'host' is brought by pqrnn \(targets/host.toml\) and acme \(acme/host.toml\): rename or remove one",
    ):
        known.get("host")
    with pytest.raises(TargetError, match="'host' is brought by"):
        known.origin("host")
    assert known.get("linux-aarch64") == shipped().get("linux-aarch64")


def test_a_base_that_two_bring_is_an_error_of_the_preset(tmp_path: Path) -> None:
    mine = write(tmp_path / "mine", acme_one=BOARD)
    other = write(tmp_path / "other", linux_aarch64_dotprod="")
    known = Registry([shipped_source(), source("mine", mine), source("other", other)])
    with pytest.raises(
        TargetError,
        match=r"mine/acme-one.toml: base is 'linux-aarch64-dotprod': target 'linux-aarch64-dotprod' is brought by",
    ):
        known.get("acme-one")


def test_nothing_is_looked_for_before_the_first_question() -> None:
    asked: list[str] = []

    def find() -> Path:
        asked.append("folder")
        raise OSError("no disk")

    known = Registry([Source("lazy", "lazy", find), shipped_source()])
    assert asked == []
    assert known.get("host").id == "host"
    assert known.names() == shipped().names()
    assert asked == ["folder"]
    targets, problems = known.survey()
    assert [target.id for target in targets] == list(shipped().names())
    assert problems == ("targets of lazy cannot be read: lazy: OSError: no disk",)
    assert asked == ["folder"]


def test_what_was_found_stays(tmp_path: Path) -> None:
    folder = write(tmp_path, acme_one=BOARD)
    known = Registry([shipped_source(), source("mine", folder)])
    assert "acme-one" in known.names()
    first = known.get("acme-one")
    write(folder, acme_one="spoilt", acme_two=BOARD.replace("acme-one", "acme-two"))
    assert "acme-two" not in known.names()
    assert known.get("acme-one") is first
    with pytest.raises(AttributeError):
        first.cpu = "host"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.write_text("id = "), r"mine/acme-one.toml: "),
        (lambda file: file.write_bytes(b"\xff\xfe"), r"mine/acme-one.toml: "),
        (lambda file: (file.unlink(), file.mkdir()), r"mine/acme-one.toml: cannot be read \(Is a directory\)"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_of_its_target_only(
    spoil: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    folder = write(tmp_path, acme_one=BOARD)
    spoil(folder / "acme-one.toml")
    known = Registry([shipped_source(), source("mine", folder)])
    with pytest.raises(TargetError, match=said):
        known.get("acme-one")
    targets, problems = known.survey()
    assert len(targets) == len(shipped().names())
    assert len(problems) == 1


def test_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    registry.cache_clear()
    try:
        assert "acme-one" not in registry().names()
        write(tmp_path / "mine", acme_one=BOARD)
        monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "mine"))
        registry.cache_clear()
        assert registry().get("acme-one").base == "linux-aarch64-dotprod"
        assert registry().origin("acme-one") == f"your own folder: {tmp_path}/mine/acme-one.toml"
    finally:
        registry.cache_clear()
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_folder() == tmp_path / ".config" / "pqrnn" / "targets"


def test_without_a_home_there_are_no_targets_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.setattr(Path, "home", no_home)
    assert user_sources() == ()
    with pytest.raises(TargetError, match=r"no home folder.*\$PQRNN_TARGETS"):
        user_folder()


def test_a_folder_that_may_not_be_looked_at_is_a_problem_where_it_was_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    def list_others(folder: Path) -> Iterator[Path]:
        return iter([]) if folder == tmp_path and refuse(folder) else iterdir(folder)

    iterdir = Path.iterdir
    monkeypatch.setattr(Path, "is_dir", refuse)
    monkeypatch.setattr(Path, "iterdir", list_others)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    targets, problems = Registry([shipped_source(), *user_sources()]).survey()
    assert targets
    assert f"{tmp_path}: PermissionError" in problems[0]
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))  # the home of somebody else
    assert user_sources() == ()


def test_a_shipped_target_reads_the_same_from_json() -> None:
    for name in shipped().names():
        target = shipped().get(name)
        assert msgspec.json.decode(msgspec.json.encode(target), type=type(target)) == target
