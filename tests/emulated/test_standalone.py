"""A parser as plain C: for this machine, and for machines that have no runtime at all, run in their emulators."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from makers.small import CONFIG, LABELS, TEXTS, make_model
from tiny_package import BUCKETS as TINY_BUCKETS
from tiny_package import TEXTS as TINY_TEXTS
from tiny_package import module_text, oracle
from typer.testing import CliRunner

from compile.lowering.buckets import make_buckets
from compile.lowering.export import export_entries
from compile.lowering.import_mlir import import_programs
from compile.lowering.iree_compile import target_flags
from compile.pipeline import compile_checkpoint
from compile.standalone.building import Program, built_program
from compile.standalone.errors import StandaloneError, ToolchainError
from compile.standalone.export import write_standalone
from compile.standalone.pipeline import export_parser
from compile.standalone.proof import prove
from compile.standalone.toolchains import Toolchain, find_toolchain
from compile.standalone.writing import write_golden
from compile.support.errors import PackagingError, VerificationError
from compile.verify.golden import TRICKY, GoldenSet, make_golden
from compile.verify.reference import Oracle
from pqrnn.checkpoint import Facts, save_checkpoint
from pqrnn.cli.running import app
from runtime_py.decode.labels import Labels
from runtime_py.package_format.manifest import Bucket
from targets import Target, TargetError, registry

BUCKETS = make_buckets([(8, 64)])
NAMES = Labels(LABELS.intents, LABELS.tags)
# Names that a C compiler might take for something else: quotes, a backslash, trigraphs, a digit after an octal escape,
# letters beyond ASCII.
ODD = Labels(('say "hi"', "back\\slash", "what??/", "Zürich1", "/* no */"), ("O", "B-%d", "I-%d", "B-日本", "I-日本"))

Written = Callable[[str], Path]


def toolchain_of(name: str) -> Toolchain:
    try:
        return find_toolchain(registry().get(name))
    except ToolchainError as error:
        pytest.skip(error.message)


def write(module: Path, target: Target, buckets: tuple[Bucket, ...], labels: Labels, folder: Path) -> Path:
    folder.mkdir()
    flags = target_flags(target, registry().family(target))
    figures = write_standalone(module, target, flags, buckets, labels, folder, "a test")
    assert figures.code_bytes == (folder / "kernels.o").stat().st_size > 1000
    assert figures.dispatches > len(buckets)
    return folder


@pytest.fixture(scope="module")
def golden() -> GoldenSet:
    return make_golden(Oracle(make_model(1).folded(), BUCKETS), [text.encode() for text in TEXTS], BUCKETS)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return import_programs(
        export_entries(make_model(1).folded(), BUCKETS), tmp_path_factory.mktemp("module") / "module.mlirbc"
    )


@pytest.fixture(scope="module")
def written(module: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Return the C of the small parser for a target, written once."""
    folders: dict[str, Path] = {}

    def get(name: str) -> Path:
        toolchain_of(name)
        if name not in folders:
            folders[name] = write(module, registry().get(name), BUCKETS, NAMES, tmp_path_factory.mktemp("c") / name)
        return folders[name]

    return get


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C of the tiny module, which has no weights, for this machine."""
    toolchain_of("host")
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "module.mlir").write_text(module_text(), encoding="utf-8")
    return write(folder / "module.mlir", registry().get("host"), TINY_BUCKETS, ODD, folder / "c")


@pytest.mark.parametrize(
    "name",
    ["host", "linux-aarch64", "linux-armv7-neon", "beaglebone-black", "linux-riscv64", "linux-riscv64-v", "cortex-m7"],
)
def test_the_c_answers_as_pytorch_does(name: str, written: Written, golden: GoldenSet) -> None:
    proof = prove(written(name), registry().get(name), BUCKETS, NAMES, golden)
    assert proof.machine
    assert proof.reason == ""
    assert proof.texts == len(golden.references) > len(TRICKY) // 2
    assert 0 < proof.largest <= golden.tolerance


def test_other_weights_are_noticed(written: Written, golden: GoldenSet, tmp_path: Path) -> None:
    folder = shutil.copytree(written("host"), tmp_path / "c")
    weights = bytearray((folder / "weights.bin").read_bytes())
    numbers = np.frombuffer(weights, np.float32)
    small = np.flatnonzero((np.abs(numbers) > 1e-6) & (np.abs(numbers) < 1.0))  # no numbers of the Unicode table
    numbers[small] = numbers[small][::-1]
    (folder / "weights.bin").write_bytes(weights)
    with pytest.raises(VerificationError, match="does not answer as PyTorch does"):
        prove(folder, registry().get("host"), BUCKETS, NAMES, golden)


def test_vectors_trap_on_a_processor_without_them(written: Written) -> None:
    folder, toolchain = written("linux-riscv64-v"), toolchain_of("linux-riscv64-v")
    plain = Toolchain(
        toolchain.cross,
        toolchain.compiler,
        machine="rv64 without vectors",
        command=(toolchain.command[0], "-cpu", "rv64"),
    )
    with (
        built_program(folder, plain, NAMES) as program,
        pytest.raises(StandaloneError, match="crashed \\(SIGILL\\) on rv64 without vectors"),
    ):
        program.answers([b"wake me"])


def test_every_entry_and_the_choice_among_them(tiny: Path) -> None:
    texts = [
        *TINY_TEXTS,
        b"one two three four",
        b"a b c d e f g h",
        b" ".join([b"w"] * 16),
        b" ".join([b"w"] * 17),
        b"y" * 65,
    ]
    with built_program(tiny, toolchain_of("host"), ODD) as program:
        for bucket, answers in zip(TINY_BUCKETS, program.entry_answers(texts, TINY_BUCKETS), strict=True):
            assert answers.entry == bucket.entry
            assert [texts[index] for index in answers.index] == [text for text in texts if len(text) <= bucket.bytes]
            rows = answers.rows(bucket.words)
            for row, index in enumerate(answers.index):
                intent, tags, spans, count = oracle(texts[index], bucket.words)
                kept = slice(rows[row], rows[row + 1])
                assert answers.count[row] == count
                assert np.array_equal(answers.intent[row], intent)
                if count <= bucket.words:
                    assert np.array_equal(answers.tags[kept], tags)
                    assert np.array_equal(answers.spans[kept], spans)
        check_choice(program, texts)


def check_choice(program: Program, texts: list[bytes]) -> None:
    """Users get the numbers of a bucket that holds the text.

    Of a text that none holds they get the first words, or nothing where it has too many bytes.
    """
    most = TINY_BUCKETS[-1]
    for text, parsed in zip(texts, program.parse([(-1, text) for text in texts]), strict=True):
        if len(text) > most.bytes:
            assert (parsed.count, len(parsed.answer.spans)) == (0, 0)
            continue
        intent, tags, spans, count = oracle(text, most.words)
        assert parsed.count == count
        assert np.array_equal(parsed.answer.intent, intent)
        assert np.array_equal(parsed.answer.tags, tags)
        assert np.array_equal(parsed.answer.spans, spans)


def test_its_makefile_builds_programs_that_check_and_parse(written: Written, golden: GoldenSet, tmp_path: Path) -> None:
    folder = shutil.copytree(written("host"), tmp_path / "c")
    write_golden(folder / "golden.bin", golden.vectors, golden.tolerance)
    subprocess.run(["make", "-s", "CFLAGS=-O1 -Wall -Wextra -Werror"], cwd=folder, check=True)
    good = subprocess.run(["make", "-s", "test"], cwd=folder, capture_output=True, text=True, check=True)
    assert good.stdout.startswith(f"{len(golden.vectors)} texts, 0 with other words; logits within ")
    write_golden(folder / "golden.bin", golden.vectors, 0.0)
    strict = subprocess.run(["./check"], cwd=folder, capture_output=True, text=True, check=False)
    assert (strict.returncode, strict.stdout.rstrip()[-5:]) == (1, "WRONG")
    text = golden.vectors.texts[-1].decode()
    said = subprocess.run(
        ["./example", text], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert said[0] == NAMES.intents[golden.vectors.intent[-1].argmax()]
    tags = golden.vectors.tags[golden.vectors.words(len(golden.vectors) - 1)].argmax(axis=1)
    spans = golden.vectors.spans[golden.vectors.words(len(golden.vectors) - 1)]
    words = [text.encode()[start:end].decode() for start, end in spans]
    assert said[1:] == [f"  {NAMES.tags[tag]:24} {word}" for tag, word in zip(tags, words, strict=True)]


def test_names_survive_c(tiny: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny, tmp_path / "c")
    subprocess.run(["make", "-s", "example", "CFLAGS=-O1 -Wall -Werror"], cwd=folder, check=True)
    for text in ("wake me", "a", "b", "c", "d", "e"):
        intent, tags, _, _ = oracle(text.encode(), 4)
        said = subprocess.run(
            ["./example", text], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert said[0] == ODD.intents[intent.argmax()]
        assert [line.split()[0] for line in said[1:]] == [ODD.tags[row.argmax()] for row in tags]


def test_kernels_of_another_parser_are_refused(written: Written, tiny: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny, tmp_path / "c")
    shutil.copy(written("host") / "kernels.o", folder)
    with built_program(folder, toolchain_of("host"), ODD) as program, pytest.raises(StandaloneError, match="status 2"):
        program.answers([b"wake me"])


def test_what_is_no_processor_in_elf_is_refused(module: Path, tmp_path: Path) -> None:
    for name in ("vulkan", "macos-arm64"):
        with pytest.raises(ToolchainError, match=f"{name}: cannot be written as C"):
            write_standalone(module, registry().get(name), (), BUCKETS, NAMES, tmp_path, "a test")
    assert not list(tmp_path.iterdir())


def test_what_the_host_program_does_and_is_not_known_is_named(tmp_path: Path) -> None:
    from compile.standalone.tracing import trace_module

    path = tmp_path / "host.mlir"
    path.write_text(
        "module { util.func public @parse_8$async(%a: index) -> index "
        "{ %b = arith.muli %a, %a : index util.return %b : index } }",
        encoding="utf-8",
    )
    with pytest.raises(StandaloneError, match="no entry 'parse_4'"):
        trace_module(path, make_buckets([(4, 32)]))
    path.write_text(
        "module { util.initializer { %0 = arith.constant 2 : index %1 = arith.muli %0, %0 : index util.return } }",
        encoding="utf-8",
    )
    with pytest.raises(StandaloneError, match=r"uses arith\.muli, which is not known here"):
        trace_module(path, BUCKETS)


def test_a_checkpoint_becomes_a_folder_or_nothing(tmp_path: Path, golden: GoldenSet) -> None:
    toolchain_of("host")
    run, out = tmp_path / "runs" / "small", tmp_path / "small-c"
    facts = Facts(
        config=CONFIG,
        labels=LABELS,
        data={},
        revision="0",
        training={},
        metrics={},
        lengths=[(4, 16, 10)],
        golden_texts=TEXTS,
    )
    save_checkpoint(run, make_model(1), facts)
    command = ["export-c", str(run), "--target", "host", "--bucket", "8:64", "--out", str(out), "--json"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert (said["proof"]["machine"], said["proof"]["texts"]) == ("this machine", len(golden.references))
    assert [bucket["entry"] for bucket in said["buckets"]] == ["parse_8"]
    assert (out / "weights.bin").stat().st_size == said["figures"]["weight_bytes"]
    note = (out / "README.md").read_text()
    assert "Built and run on this machine" in note
    assert f"{said['figures']['memory_bytes']:,}" in note
    # What is there stays, unless it may be replaced.
    with pytest.raises(PackagingError, match="exists already"):
        export_parser(run, out, "host")
    with pytest.raises(TargetError, match="no numbers"):
        compile_checkpoint(run, tmp_path / "a.pqrnn", ["beaglebone-black"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "small-c"]
