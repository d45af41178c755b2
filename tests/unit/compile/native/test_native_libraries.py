"""Libraries of packages that this machine cannot run: what an emulator proved, or why nothing did."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compile.native.libraries import build_library, find_compilers
from compile.native.proof import NativeProof
from runtime_py.native.manifest import LibraryFile, NativeVariant
from targets import registry


class _Build:
    """What `NativeBuild` gives for a target, with a proof that is given."""

    name, known = "mtop-en", registry()

    def __init__(self, proof: NativeProof) -> None:
        self.proof = proof

    def run(self, target: Any, compiler: Any, staging: Path) -> Any:
        library = f"{target.id}/libmtop_en.so"
        (staging / target.id).mkdir()
        (staging / library).write_bytes(b"code")
        variant = NativeVariant(
            target.id,
            target.triple,
            ("dotprod", "neon"),
            library,
            {library: LibraryFile.of(staging / library)},
            64,
            512,
            300_000,
            2_000_000,
            self.proof.machine or None,
            self.proof.reason or None,
        )
        return SimpleNamespace(target=target, variant=variant, proof=self.proof)


def build(proof: NativeProof, folder: Path) -> Any:
    golden: Any = SimpleNamespace(vectors=SimpleNamespace(tags=[0] * 501))
    made: Any = _Build(proof)
    return build_library(made, registry().get("linux-aarch64"), None, None, golden, folder)  # type: ignore[arg-type]


def test_what_an_emulator_proved_stands_in_the_description(tmp_path: Path) -> None:
    proved = build(NativeProof("qemu-aarch64 7.2, cortex-a72", "", 69, 0.25, 0.5), tmp_path)
    library, parity = proved.library, proved.library.parity
    assert proved.file.read_bytes() == b"code"
    assert (library.path, library.prefix) == ("native/linux-aarch64/libmtop_en.so", "mtop_en")
    assert (library.features, library.memory, library.weights) == (["dotprod", "neon"], 300_000, 2_000_000)
    assert (parity.passed, parity.texts, parity.words, parity.repeats) == (True, 69, 501, 1)
    assert (parity.intent_max_abs, parity.tolerance) == (0.25, 0.5)
    assert parity.emulator == "qemu-aarch64 7.2, cortex-a72"
    assert parity.runtime == "native 1, a host in C"
    assert (library.unverified_reason, library.development) == (None, False)


def test_what_nothing_could_run_says_why(tmp_path: Path) -> None:
    library = build(NativeProof("", "no emulator is installed"), tmp_path).library
    assert (library.parity, library.unverified_reason) == (None, "no emulator is installed")


def test_only_processors_with_a_system_can_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PQRNN_CC", "cc")
    names = ["host", "linux-aarch64", "android-aarch64", "macos-arm64", "windows-x86_64-v3"]
    others = ["cortex-m7", "webassembly", "vmvx", "vulkan"]
    assert list(find_compilers([registry().get(name) for name in [*names, *others]])) == names
