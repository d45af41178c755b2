"""A package with a native library: it is taken where it runs and was proved, and does what the compiled module does."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
from makers.native import LABELS, build_package, expect
from makers.runtime_fakes import fake_parity
from makers.small import CONFIG, make_model
from makers.small import LABELS as SMALL
from makers.small import TEXTS as SHORT
from msgspec.structs import replace
from tiny_package import TEXTS, compile_module

from compile.lowering.buckets import make_buckets
from compile.native.errors import NativeError, NoCompilerError
from compile.native.libraries import build_libraries
from compile.native.toolchains import NativeCompiler
from compile.options import CompileOptions
from compile.pipeline import compile_checkpoint
from pqrnn.checkpoint import Facts, save_checkpoint
from runtime_py import Parser
from runtime_py.errors import (
    CertificateError,
    DeviceError,
    DigestError,
    InputTooLongError,
    PackageError,
    ParserClosedError,
    SchemaError,
    SignatureError,
    UnsupportedTargetError,
)
from runtime_py.native.package_parser import PackagedNativeParser
from runtime_py.package_format.certificates import with_certificates
from runtime_py.package_format.manifest import CERTIFICATES_NAME
from runtime_py.package_format.package import open_package, seal
from runtime_py.parser import Parser as PackageParser
from runtime_py.tools.check import check_package
from runtime_py.tools.full_check import check_fully
from runtime_py.tools.inspect import inspect_package
from runtime_py.tools.presentation import inspect_tables
from runtime_py.trust.keys import make_keys
from runtime_py.trust.signatures import sign_package
from targets import Target, registry

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: apt-get install gcc libc6-dev")
PARITY = fake_parity(True)
LIBRARY = "native/generic/libtiny_one.so"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scratch = tmp_path_factory.mktemp("package")
    return build_package(
        scratch / "home.pqrnn", scratch / "work", compile_module(), parity=PARITY, unverified_reason=None
    )


@pytest.fixture
def copy(package: Path, tmp_path: Path) -> Path:
    return shutil.copytree(package, tmp_path / "copy.pqrnn")


def change(path: Path, **changes: Any) -> None:
    """Write the manifest anew, with another library or further changes."""
    manifest = open_package(path).manifest
    if "library" in changes:
        changes["libraries"] = [replace(manifest.libraries[0], **changes.pop("library"))]
    seal(path, replace(manifest, **changes))


def engine_of(path: Path, **settings: Any) -> str:
    with Parser.load(path, **settings) as parser:
        return parser.device


def test_both_engines_answer_alike(package: Path) -> None:
    texts = [*TEXTS, "a b c d e", "wake me at seven", b"a " * 40, "é" * 80]
    with (
        Parser.load(package, engine="native", on_long="truncate") as native,
        Parser.load(package, engine="iree", on_long="truncate") as compiled,
    ):
        assert isinstance(native, PackagedNativeParser)
        assert isinstance(native, Parser)
        assert isinstance(compiled, PackageParser)
        for text in texts:
            mine, theirs = native(text, alternatives=2), compiled(text, alternatives=2)
            assert mine.score == pytest.approx(theirs.score, rel=1e-5)
            assert replace_score(mine) == replace_score(theirs) == replace_score(expect(text, alternatives=2))
            one, other = native.logits(text), compiled.logits(text)
            assert [part.tolist() for part in one[:3]] == [part.tolist() for part in other[:3]]
            assert one.truncated == other.truncated
            assert len(one.tags) <= one.bucket <= other.bucket  # which guesses at the words, and may guess too many
        assert [parse.intent for parse in native.parse_batch(texts)] == [compiled(text).intent for text in texts]
        assert [len(each.tags) for each in native.logits_batch(texts)] == [native(text).words for text in texts]
        named = {"what": ["seven"], "when": ["wake"]}
        assert native.with_values(named)("wake me at seven") == compiled.with_values(named)("wake me at seven")
        assert native.partial("wake me") == compiled.partial("wake me")
        native.warmup()
        assert (native.name, native.manifest.name, native.variant.target) == ("tiny", "tiny", "generic")
        with pytest.raises(AttributeError, match=r"entries: .*engine='iree'"):
            _ = native.entries
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            _ = native.nothing  # type: ignore[attr-defined]


def replace_score(parse: Any) -> dict[str, Any]:
    said = parse.to_dict() | {"score": 0}
    said["alternatives"] = [each["intent"] for each in said.get("alternatives", ())]
    return said


def test_the_engine_is_chosen_by_what_is_asked_for(package: Path, copy: Path) -> None:
    assert engine_of(package) == "native"
    assert engine_of(package, variant="generic") == "native"
    assert engine_of(package, device="cpu") == "native"
    assert engine_of(package, engine="iree") == "local-sync"
    assert engine_of(package, strict=False) == "local-sync"
    assert engine_of(package, threads=2).startswith("local-task")
    for settings in ({"threads": 2}, {"device": "gpu"}):
        with pytest.raises(ValueError, match="take engine='iree'"):
            Parser.load(package, engine="native", **settings)
    # What nobody has run, or what failed, is taken by name alone.
    change(copy, library={"parity": None, "unverified_reason": "a test"})
    assert engine_of(copy) == "local-sync"
    with pytest.raises(UnsupportedTargetError, match="that was ever run"):
        Parser.load(copy, engine="native")
    assert engine_of(copy, engine="native", variant="generic") == "native"
    change(copy, library={"parity": fake_parity(False), "unverified_reason": None})
    assert engine_of(copy) == "local-sync"
    change(copy, library={"parity": PARITY, "triple": "riscv64-unknown-linux-gnu"})
    assert engine_of(copy) == "local-sync"
    change(copy, libraries=[])
    assert engine_of(copy) == "local-sync"
    with pytest.raises(UnsupportedTargetError, match="has no native libraries"):
        Parser.load(copy, engine="native")


def test_a_library_that_cannot_be_loaded_is_no_end(copy: Path) -> None:
    (copy / LIBRARY).write_bytes(b"no library")
    change(copy)
    assert engine_of(copy) == "local-sync"
    with pytest.raises(DeviceError, match=r"cannot be loaded .*\. Compile the package again"):
        Parser.load(copy, engine="native")
    with pytest.raises(UnsupportedTargetError, match="no native library 'pi'; it has: generic"):
        Parser.load(copy, engine="native", variant="pi")


def test_changed_files_are_refused_whatever_else_would_run(copy: Path) -> None:
    library = (copy / LIBRARY).read_bytes()
    (copy / LIBRARY).write_bytes(library[:-1] + b"?")
    with pytest.raises(DigestError, match="SHA-256"):
        Parser.load(copy)
    (copy / LIBRARY).write_bytes(library[:-1])
    with pytest.raises(DigestError, match="the manifest says"):
        Parser.load(copy, verify=False)
    (copy / LIBRARY).unlink()
    with pytest.raises(PackageError, match="missing"):
        Parser.load(copy)
    manifest = (copy / "manifest.json").read_bytes()
    (copy / "manifest.json").write_bytes(manifest.replace(b'"name": "tiny"', b'"name": "tine"'))
    with pytest.raises(DigestError, match="changed after the package was made"):
        Parser.load(copy)
    for wrong in (b"[", b"{}", manifest.replace(b'"prefix": "tiny_one"', b'"prefix": "a b"')):
        (copy / "manifest.json").write_bytes(wrong)
        with pytest.raises(SchemaError):
            Parser.load(copy)


def test_a_library_of_another_parser_is_refused(copy: Path) -> None:
    change(copy, labels=replace(LABELS, intents=(*LABELS.intents[:-1], "other")))
    with pytest.raises(PackageError, match="other intents"):
        Parser.load(copy)


def test_what_was_loaded_stays_what_was_verified(copy: Path) -> None:
    with Parser.load(copy, engine="native") as parser:
        (copy / LIBRARY).write_bytes(b"\0" * (copy / LIBRARY).stat().st_size)
        assert parser("a b").intent == expect("a b").intent
        again = pickle.dumps(parser)
        change(copy, name="another")
        with pytest.raises(PackageError, match="was exchanged"):
            _ = parser.manifest
    with pytest.raises(ParserClosedError):
        parser("a")
    with pytest.raises(ParserClosedError):
        pickle.dumps(parser)
    with pytest.raises(DeviceError, match="cannot be loaded"):
        pickle.loads(again)


def test_copies_and_long_texts(package: Path) -> None:
    with Parser.load(package) as parser:
        with pickle.loads(pickle.dumps(parser)) as again:
            assert again("a b c") == parser("a b c")
        with pytest.raises(InputTooLongError, match="up to 16 words in 64 bytes"):
            parser("a " * 17)
        with pytest.raises(InputTooLongError, match="text 1 of the batch"):
            parser.logits_batch(["a", "a " * 17])


def test_signatures_hold_for_libraries(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_keys(tmp_path / "home")
    monkeypatch.setenv("PQRNN_REQUIRE_SIGNATURE", str(tmp_path / "home.pub"))
    with pytest.raises(SignatureError):
        Parser.load(copy, engine="native")
    sign_package(copy, tmp_path / "home.key")
    assert engine_of(copy) == "native"
    with Parser.load(copy, verify=False) as parser:  # a signature is of every file
        assert parser("a").intent == expect("a").intent
    content = (copy / LIBRARY).read_bytes()
    (copy / LIBRARY).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(PackageError):
        Parser.load(copy, verify=False)


def test_it_is_checked_and_certified_as_a_variant_is(copy: Path) -> None:
    result = check_package(copy, native=True)
    assert result.passed
    assert (result.parity.texts, result.parity.repeats, result.parity.decision_flips) == (len(TEXTS), 3, 0)
    assert result.parity.runtime == "native 1.1"
    checked = check_fully(copy, native=True, certified=True)
    assert checked.exit_code == 0
    (found,) = with_certificates(open_package(copy)).library("generic").certificates
    assert (found.device, found.versions["native"]) == ("native", "1.1")
    assert not with_certificates(open_package(copy)).variant("generic").certificates
    (copy / CERTIFICATES_NAME).write_bytes(b"[]")
    with pytest.raises(CertificateError):
        check_package(copy, native=True)


def test_compiling_with_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PQRNN_CC", "cc")
    facts = Facts(
        config=CONFIG,
        labels=SMALL,
        data={},
        revision="0",
        training={},
        metrics={},
        lengths=[],
        golden_texts=SHORT[:3],
    )
    model = make_model(1)
    save_checkpoint(tmp_path / "run", model, facts)
    out = tmp_path / "home.pqrnn"
    options = CompileOptions(buckets=make_buckets([(24, 96)]), native=True)
    outcome = compile_checkpoint(tmp_path / "run", out, ["host"], options)
    assert not outcome.failures
    (library,) = outcome.manifest.libraries
    assert (library.target, library.path, library.development) == ("host", "native/host/libhome.so", True)
    assert library.parity is not None
    assert (library.parity.passed, library.parity.runtime, library.parity.repeats) == (True, "native 1.1", 3)
    assert [each.made_by for each in library.certificates] == ["build"]
    assert library.weights > 0
    assert library.memory > 0
    with Parser.load(out) as parser, Parser.load(out, engine="iree") as compiled:
        assert parser.device == "native"
        for text in SHORT:
            assert replace_score(parser(text)) == replace_score(compiled(text))
    facts_shown = inspect_package(out)
    assert [(each.target, each.verified, each.runs_here) for each in facts_shown.libraries] == [("host", True, True)]
    assert any(
        row[0] == "host" for table in inspect_tables(facts_shown) for row in table.rows if "native" in table.title
    )


def test_what_fails_is_no_part_of_a_package_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PQRNN_CC", "cc")

    class Failing:
        known = registry()

        def run(self, target: Target, compiler: NativeCompiler, staging: Path) -> NoReturn:
            raise NativeError(f"{target.id} with {compiler.name} into {staging.name}")

    targets = [registry().get(name) for name in ("host", "vmvx", "vulkan", "webassembly")]
    built, failures = build_libraries(Failing(), targets, None, None, tmp_path)  # type: ignore[arg-type]
    assert built == []
    assert {name: error.message for name, error in failures.items()} == {"host.native": "host with cc into host.native"}


def test_a_compiler_that_is_missing_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PQRNN_CC", raising=False)
    monkeypatch.setattr("compile.native.toolchains.find_spec", lambda _: None)
    monkeypatch.setattr("compile.native.toolchains.shutil.which", lambda _: None)
    with pytest.raises(NoCompilerError, match="pip install"):
        compile_checkpoint(tmp_path / "no run", tmp_path / "home.pqrnn", ["host"], CompileOptions(native=True))
    assert not (tmp_path / "home.pqrnn").exists()


def test_neither_numpy_nor_iree_is_needed(package: Path, tmp_path: Path) -> None:
    # An empty folder of each name stands before the installed ones, so that whoever imports them fails.
    for name in ("numpy", "iree", "msgspec"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ModuleNotFoundError('not here', name=__name__)")
    code = (
        "import json, sys; from runtime_py import Parser\n"
        "with Parser.load(sys.argv[1]) as parser:\n"
        "    print(json.dumps([parser('a b').to_dict(), [each.to_dict() for each in parser.parse_batch(['c'])]]))\n"
        "    try: parser.manifest\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
        "assert not {'numpy', 'iree', 'msgspec'} & set(sys.modules)\n"
        "try: Parser.load(sys.argv[2])\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    other = shutil.copytree(package, tmp_path / "other.pqrnn")
    change(other, library={"triple": "riscv64-unknown-linux-gnu"})
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code, package, other],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert (done.returncode, done.stderr) == (0, "")
    answers, missing, nothing = done.stdout.splitlines()
    first, (second,) = json.loads(answers)
    assert (first["intent"], second["intent"]) == (expect("a b").intent, expect("c").intent)
    assert missing.startswith("DeviceError")
    assert "msgspec, which is not installed" in missing
    assert nothing.startswith("UnsupportedTargetError")
    assert "no native library for" in nothing
