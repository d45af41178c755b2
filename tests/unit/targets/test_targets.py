"""Target files and their registry."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import targets
from targets import Registry, Source, TargetError, shipped
from targets.isa import ARCHITECTURES, architecture_of
from targets.schema import decode_target

GOOD = """
id = "board"
summary = "a board"
family = "cpu"
triple = "aarch64-unknown-linux-gnu"
cpu = "generic"
features = ["dotprod"]
needs = "Linux"
tier = "compiled"

[[flags]]
flag = "--iree-llvmcpu-loop-unrolling=true"
reason = "it was faster"
"""
FAMILY = """
id = "cpu"
summary = "processors"
device = "local-sync"

[[flags]]
flag = "--iree-opt-level=O2"
reason = "fewer dispatches"
"""


PRESET = """
id = "named"
base = "board"
summary = "a board with a name"

[board]
soc = "SoC 1"
cores = "2 x Cortex-A55"
features = ["dotprod", "fullfp16"]

[[emulators]]
kind = "qemu-aarch64"
cpu = "cortex-a76"

[[limits]]
text = "no display"
"""
GPU = """
id = "gpu"
summary = "a GPU"
family = "vulkan"
needs = "a driver"
tier = "emulated"
vulkan = { target = "llvmpipe", subgroup = 8, int64 = true }
emulators = [{ kind = "lavapipe", lanes = 8 }]
"""


def decode(text: str, name: str = "board") -> targets.Target:
    found = decode_target(text.encode(), name, f"targets/{name}.toml")
    assert isinstance(found, targets.Target)
    return found


def folder_of(root: Path, **files: str) -> Registry:
    (root / "families").mkdir()
    (root / "families" / "cpu.toml").write_text(FAMILY)
    (root / "families" / "vulkan.toml").write_text(FAMILY.replace('"cpu"', '"vulkan"'))
    for name, text in files.items():
        (root / f"{name}.toml").write_text(text)
    return Registry([Source("us", "targets", lambda: root)], families=root / "families")


def test_every_shipped_target_is_valid_and_gives_reasons() -> None:
    known = shipped()
    assert {"host", "linux-x86_64-v3", "linux-x86_64-v4", "linux-aarch64", "vulkan", "vmvx"} <= set(known.names())
    for name in known.names():
        target = known.get(name)
        family = known.family(target)
        assert target.id == name
        assert family.device
        for flag in (*family.flags, *target.flags):
            assert len(flag.reason) > 20, flag


def test_only_host_is_for_development() -> None:
    assert [name for name in shipped().names() if shipped().get(name).development] == ["host"]


def test_unknown_name_offers_the_closest() -> None:
    with pytest.raises(TargetError, match=r"no target 'linux-x86_64-v5'; did you mean .*linux-x86_64-v\d"):
        shipped().get("linux-x86_64-v5")
    with pytest.raises(TargetError, match="there are: android-aarch64, "):
        shipped().get("qqqq")


def test_registry_reads_lazily(tmp_path: Path) -> None:
    known = folder_of(tmp_path, board=GOOD, broken="id = ")
    assert known.names() == ("board", "broken")
    board = known.get("board")
    assert board.features == ("dotprod",)
    assert known.get("board") is board
    assert known.family(board).device == "local-sync"
    with pytest.raises(TargetError, match=r"targets/broken\.toml"):
        known.get("broken")


def test_unknown_family_is_named(tmp_path: Path) -> None:
    (tmp_path / "families").mkdir()
    (tmp_path / "families" / "vmvx.toml").write_text(FAMILY.replace('"cpu"', '"vmvx"'))
    (tmp_path / "board.toml").write_text(GOOD)
    with pytest.raises(TargetError, match=r"targets/board\.toml: no family 'cpu'; there are: vmvx"):
        Registry([Source("us", "targets", lambda: tmp_path)], families=tmp_path / "families").get("board")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('needs = "Linux"', 'need = "Linux"', "unknown field `need`"),
        ('cpu = "generic"\n', "", "missing required field `cpu`"),
        ('cpu = "generic"', "cpu = 3", r"Expected `str`, got `int` - at `\$\.cpu`"),
        ('id = "board"', 'id = "plank"', "id is 'plank', expected 'board'"),
        ('"dotprod"', '"dotprodd"', "dotprodd: no feature of aarch64"),
        ('"dotprod"', '"+dotprod"', "matching regex"),
        (
            "aarch64-unknown",
            "vax-unknown",
            "no architecture that is known here: aarch64, arm, riscv64, wasm32, x86_64",
        ),
        ('cpu = "generic"', 'cpu = "host"', "expected both or neither to be 'host'"),
        ("--iree-llvmcpu-loop-unrolling=true", "iree loop", "no flag of the form"),
        ('reason = "it was faster"', "", "missing required field `reason`"),
        ('reason = "it was faster"', 'reason = ""', "length >= 1"),
        ('tier = "compiled"', 'tier = "guessed"', "Invalid enum value 'guessed'"),
        ('tier = "compiled"', 'tier = "emulated"', "tier is 'emulated' and there are no emulators"),
        (
            'tier = "compiled"',
            'tier = "compiled"\nemulators = [{ kind = "qemu-arm" }]',
            "Invalid enum value 'qemu-arm'",
        ),
        ('tier = "compiled"', 'tier = "compiled"\nemulators = [{ kind = "qemu-aarch64" }]', "QEMU takes a cpu"),
        (
            'tier = "compiled"',
            'tier = "compiled"\nemulators = [{ kind = "qemu-x86_64", cpu = "max" }]',
            "cannot run code of family 'cpu' for aarch64-",
        ),
        ('tier = "compiled"', 'tier = "compiled"\nlimits = [{ text = "slow", link = "somewhere" }]', "matching regex"),
        (
            'tier = "compiled"',
            'tier = "compiled"\nvulkan = { target = "x", subgroup = 0, int64 = false }',
            "expected a table",
        ),
        ('family = "cpu"', 'family = "vmvx"', "triple, cpu and features are for the family 'cpu'"),
    ],
)
def test_bad_file_is_refused_with_its_name(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(TargetError, match=message) as caught:
        decode(GOOD.replace(old, new))
    assert str(caught.value).startswith("targets/board.toml: ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("subgroup = 8", "subgroup = 16", "has 8 lanes, the code counts on 16"),
        ("lanes = 8", "lanes = 6", "lanes is 6, expected 4, 8 or 16"),
        ("lanes = 8", 'lanes = 8, cpu = "max"', "neither takes the other's"),
        ('kind = "lavapipe", lanes = 8', 'kind = "swiftshader"', "emulator swiftshader has 4 lanes"),
        ('kind = "lavapipe", lanes = 8', 'kind = "qemu-aarch64", cpu = "max"', "cannot run code of family 'vulkan'"),
        ('vulkan = { target = "llvmpipe", subgroup = 8, int64 = true }', "", r"expected a table \[vulkan\]"),
    ],
)
def test_bad_gpu_is_refused(old: str, new: str, message: str) -> None:
    assert decode(GPU, "gpu").emulators == (targets.Emulator("lavapipe", lanes=8),)
    assert old in GPU
    with pytest.raises(TargetError, match=message):
        decode(GPU.replace(old, new), "gpu")


def test_a_preset_is_its_base_under_a_boards_name(tmp_path: Path) -> None:
    known = folder_of(
        tmp_path,
        board=GOOD.replace('tier = "compiled"', 'tier = "compiled"\nlimits = [{ text = "one core" }]'),
        named=PRESET,
    )
    base, named = known.get("board"), known.get("named")
    assert (named.id, named.base, named.summary) == ("named", "board", "a board with a name")
    for part in ("family", "triple", "cpu", "features", "flags", "needs", "tier"):
        assert getattr(named, part) == getattr(base, part)
    assert named.emulators == (targets.Emulator("qemu-aarch64", "cortex-a76"),)
    assert [limit.text for limit in named.limits] == ["no display", "one core"]
    assert named.board is not None
    assert base.board is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'base = "board"',
            'base = "bord"',
            r"targets/named\.toml: base is 'bord': no target 'bord'; did you mean board",
        ),
        ('base = "board"', 'base = "named"', r"base runs in a circle: named -> named"),
        ('"dotprod", ', "", r"targets/named\.toml: the board lacks dotprod, which code for board may use"),
        ('"fullfp16"', '"avx2"', "avx2: no feature of aarch64"),
        ('summary = "a board with a name"', 'summary = "x"\nfeatures = ["i8mm"]', "unknown field `features`"),
        ("qemu-aarch64", "swiftshader", "QEMU takes a cpu"),
    ],
)
def test_bad_preset_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in PRESET
    known = folder_of(tmp_path, board=GOOD, named=PRESET.replace(old, new))
    with pytest.raises(TargetError, match=message):
        known.get("named")


def test_a_board_that_cannot_run_its_base_may_be_listed_with_the_reason(tmp_path: Path) -> None:
    preset = PRESET.replace('"dotprod", ', "").replace(
        'base = "board"', 'base = "board"\nrefused = "its cores have no dot product"'
    )
    assert folder_of(tmp_path, board=GOOD, named=preset).get("named").refused == "its cores have no dot product"


@pytest.mark.parametrize("text", [b"\xff", b"a = " + b"[" * 100_000, b"a = 1\na = 2", b"", b"[[flags]]\n" * 1000])
def test_nonsense_is_an_error_of_its_file(text: bytes) -> None:
    with pytest.raises(TargetError, match=r"^targets/board\.toml: "):
        decode_target(text, "board", "targets/board.toml")


@given(st.data())
def test_a_file_with_a_hole_or_a_stray_byte_is_refused_or_read(data: st.DataObject) -> None:
    text = bytearray(data.draw(st.sampled_from([GOOD, PRESET, GPU])).encode())
    index = data.draw(st.integers(0, len(text) - 1))
    text[index : index + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=3))
    for name in ("board", "named", "gpu"):
        try:
            decode_target(bytes(text), name, "file")
        except TargetError as error:
            assert str(error).startswith("file: ")


def test_host_has_to_be_marked_as_development() -> None:
    host = GOOD.replace("aarch64-unknown-linux-gnu", "host").replace('"generic"', '"host"').replace('["dotprod"]', "[]")
    with pytest.raises(TargetError, match="expected development = true"):
        decode(host)
    assert decode(host.replace('needs = "Linux"', 'needs = "Linux"\ndevelopment = true')).development
    with pytest.raises(TargetError, match="features are given"):
        decode(host.replace("[]", '["avx2"]').replace('needs = "Linux"', 'needs = "Linux"\ndevelopment = true'))


def test_architectures() -> None:
    assert architecture_of("arm64-apple-darwin") == "aarch64"
    assert architecture_of("x86_64-unknown-linux-gnu") == "x86_64"
    assert architecture_of("riscv64-unknown-linux-gnu") == "riscv64"
    assert architecture_of("armv7a-unknown-linux-gnueabihf") == "arm"
    assert architecture_of("armv6-unknown-linux-gnueabihf") is None
    for architecture in ARCHITECTURES.values():
        assert not architecture.features & architecture.baseline


def test_a_faster_twin_is_for_the_same_hosts_with_more_features() -> None:
    known = shipped()
    twins = [(known.get(name), known.get(known.get(name).faster)) for name in known.names() if known.get(name).faster]
    assert [target.id for target, _ in twins] == ["webassembly"]
    for target, twin in twins:
        assert (twin.triple, twin.cpu, twin.faster) == (target.triple, target.cpu, "")
        assert set(twin.features) > set(target.features)


def test_targets_import_nothing_of_the_project() -> None:
    folder = Path(targets.__file__).parent
    allowed = {"targets", "msgspec"}
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            ours = {name.split(".")[0] for name in names} & {
                "pqrnn",
                "compile",
                "runtime_py",
                "benchmarks",
                "torch",
                "iree",
                "numpy",
            }
            assert not ours, (file, ours - allowed)
