"""From the checkpoint of a small model to a package.

What comes out, that it answers right, and what is left when something goes wrong.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from makers.packages import write_small_run
from makers.small import BUCKETS, CONFIG, LABELS, TEXTS, make_model

import compile.build
import compile.lowering.export
import compile.lowering.import_mlir
import compile.pipeline
from compile.lowering.export import export_entries
from compile.lowering.import_mlir import import_programs
from compile.lowering.iree_compile import Compiled, Statistics, compile_module, compiler_path, target_flags
from compile.options import CompileOptions
from compile.pipeline import STAGES, CompileOutcome, Progress, compile_checkpoint, preview_compilation
from compile.plan import Plan, plan_targets
from compile.support.errors import (
    CompilerError,
    ExportError,
    ImportStageError,
    PackagingError,
    PlanError,
    TargetsError,
    VerificationError,
)
from compile.variant import ProvedVariant, describe_code
from compile.verify.golden import TRICKY, make_golden
from compile.verify.parity import compare_decisions
from compile.verify.reference import Oracle
from pqrnn.checkpoint import Facts, load_checkpoint, save_checkpoint
from pqrnn.errors import CheckpointError
from pqrnn.model.parser import ParserModel
from runtime_py import Parser
from runtime_py.decode.labels import Labels
from runtime_py.errors import InputTooLongError
from runtime_py.package_format.certificates import fitting_certificates
from runtime_py.package_format.manifest import Bucket
from runtime_py.package_format.package import open_package
from runtime_py.tools.check import check_package
from targets import Registry, registry
from targets.registry import Source, shipped_source

HOST = target_flags(registry().get("host"), registry().family(registry().get("host")))
# It has kernels, so that it is compiled in seconds, and no emulator.
BOARD = """
id = "board"
summary = "a board that nothing here can be"
family = "cpu"
triple = "aarch64-unknown-linux-gnu"
cpu = "generic"
features = []
needs = "Linux"
tier = "compiled"
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_run(tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="module")
def steps() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def outcome(checkpoint: Path, steps: list[Progress], tmp_path_factory: pytest.TempPathFactory) -> CompileOutcome:
    folder = tmp_path_factory.mktemp("packages")
    (folder / "targets").mkdir()
    (folder / "targets" / "board.toml").write_text(BOARD)
    return compile_checkpoint(
        checkpoint,
        folder / "small.pqrnn",
        ["host", "board"],
        CompileOptions(buckets=BUCKETS),
        known=Registry([shipped_source(), Source("a test", "targets", lambda: folder / "targets")]),
        on_progress=steps.append,
    )


@pytest.fixture(scope="module")
def code(outcome: CompileOutcome) -> bytes:
    """The module as it was compiled for this machine."""
    return (outcome.package / "variants" / "host" / "module.vmfb").read_bytes()


@pytest.fixture
def parser(outcome: CompileOutcome) -> Iterator[Parser]:
    with Parser.load(outcome.package) as loaded:
        yield loaded


def test_the_package_is_whole_and_says_what_it_is(outcome: CompileOutcome) -> None:
    manifest = open_package(outcome.package, verify=True).manifest
    assert manifest == outcome.manifest
    assert manifest.name == "small"
    assert manifest.buckets == list(BUCKETS)
    assert manifest.labels.intents == LABELS.intents
    assert manifest.model.parameters == make_model(1).parameters_count()
    assert (manifest.model.precision, manifest.model.revision, manifest.model.data_fingerprint) == (
        "float32",
        "0123abc",
        "sha256:0123",
    )
    assert manifest.producer.iree_compiler.startswith("3.")
    assert [variant.target for variant in manifest.variants] == ["host", "board"]
    assert set(manifest.files) == {
        "golden/golden.npz",
        "golden/decisions.json",
        *(variant.path for variant in manifest.variants),
    }


def test_what_ran_here_has_its_numbers_and_what_did_not_says_why(outcome: CompileOutcome) -> None:
    host, board = outcome.manifest.variants
    assert host.parity is not None
    assert host.parity.passed
    assert host.parity.texts == outcome.manifest.golden.texts > len(TRICKY)
    reference = host.parity.reference
    assert 0 < reference["spread"] <= 1.2 * max(reference["framework_spread"], reference["ordered_spread"])
    assert reference["samples"] > 1000
    (certificate,) = fitting_certificates(outcome.manifest, host)
    assert (certificate.made_by, certificate.texts, certificate.checked) == (
        "build",
        host.parity.texts,
        host.parity.checked,
    )
    assert certificate.figures["numbers_spread"] == reference["spread"]
    assert certificate.device == "local-sync"
    assert board.certificates == []
    assert host.features
    assert host.cpu != "host"
    assert outcome.ran_on == {"host": "this machine", "board": ""}
    assert board.parity is None
    reason = board.unverified_reason or ""
    assert reason.startswith("compiled and checked statically (64-bit ELF for aarch64, no undefined symbols")
    assert "never run, because nothing here can: this machine: it is for aarch64" in reason
    assert [variant.dispatches for variant in outcome.manifest.variants] == [
        outcome.statistics[name].dispatches for name in ("host", "board")
    ]


def test_code_of_this_machine_only_is_marked_in_the_package(outcome: CompileOutcome) -> None:
    assert [variant.development for variant in open_package(outcome.package).manifest.variants] == [True, False]
    (note,) = outcome.notes
    assert "do not ship" in note


def test_weights_are_stored_once_for_all_entries(outcome: CompileOutcome) -> None:
    weights = 4 * outcome.manifest.model.parameters
    tables = 4 * sum(buffer.numel() for buffer in make_model(1).projection.buffers())
    for counts in outcome.statistics.values():
        assert weights <= counts.constant_bytes < 1.1 * (weights + tables) + 50_000
        assert counts.dispatches <= 162 * len(BUCKETS)


def test_progress_goes_through_the_stages_to_its_end(outcome: CompileOutcome, steps: list[Progress]) -> None:
    assert {step.stage for step in steps} == set(STAGES)
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1].done == steps[-1].total - 1  # the last one begins, and then nothing is told any more
    assert set(outcome.seconds) == set(STAGES)
    for name in ("host", "board"):
        assert [(step.stage, step.state) for step in steps if step.target == name] == [
            ("compile", "running"),
            ("verify", "running"),
            ("verify", "done"),
        ]


def test_the_package_decides_as_pytorch_does(checkpoint: Path, parser: Parser) -> None:
    fitting = [text for text in [*TEXTS, *TRICKY] if _fits(parser, text)]
    assert len(fitting) > len(TEXTS) + len(TRICKY) // 2
    found = compare_decisions(load_checkpoint(checkpoint), parser, fitting)
    assert found.equal
    assert found.differences == []
    assert found.words > 100
    assert len({parse.intent for parse in found.compiled}) > 1
    assert 0 < found.largest_difference < 1e-5
    assert [parse.to_dict() for parse in found.compiled] == [parser(text).to_dict() for text in fitting]


def _fits(parser: Parser, text: str | bytes) -> bool:
    try:
        parser(text)
    except InputTooLongError:
        return False
    return True


def test_another_model_decides_otherwise_and_that_is_counted(
    outcome: CompileOutcome, checkpoint: Path, parser: Parser, tmp_path: Path
) -> None:
    facts = load_checkpoint(checkpoint).facts
    save_checkpoint(tmp_path, make_model(2), facts)
    found = compare_decisions(load_checkpoint(tmp_path), parser, TEXTS)
    assert not found.equal
    assert found.tag_flips + found.intent_flips > 0
    assert found.word_mismatches == 0
    assert found.differences[0].text in TEXTS
    other = Facts(
        **{name: getattr(facts, name) for name in facts.__struct_fields__} | {"labels": Labels(("x",), ("O",))}
    )
    save_checkpoint(tmp_path, ParserModel(CONFIG, 1, 1), other)
    with pytest.raises(VerificationError, match="intents differ"):
        compare_decisions(load_checkpoint(tmp_path), parser, TEXTS)
    bound = Labels(facts.labels.intents, facts.labels.tags, ((),) * len(facts.labels.intents))
    assert bound != facts.labels
    save_checkpoint(
        tmp_path,
        make_model(2),
        Facts(**{name: getattr(facts, name) for name in facts.__struct_fields__} | {"labels": bound}),
    )
    with pytest.raises(VerificationError, match="the package has no frames"):
        compare_decisions(load_checkpoint(tmp_path), parser, TEXTS)


def test_a_text_that_the_parser_cuts_counts_as_different(checkpoint: Path, outcome: CompileOutcome) -> None:
    with Parser.load(outcome.package, on_long="truncate") as cutting:
        found = compare_decisions(load_checkpoint(checkpoint), cutting, ["one two " * 30, "short"])
    assert found.word_mismatches == 1
    assert not found.equal


def test_two_compilations_give_the_same_bytes(
    checkpoint: Path, code: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process, hash seed and folder make no difference, and no folder of this machine is named.

    Else the cache would find nothing.
    """
    for name in ("here", "elsewhere"):
        (tmp_path / name).mkdir()
    arguments = [str(checkpoint), "module.mlirbc"]
    subprocess.run(
        [sys.executable, "-c", _IMPORT, *arguments],
        check=True,
        capture_output=True,
        cwd=tmp_path / "elsewhere",
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "argv", ["", *arguments])
    exec(_IMPORT, {})
    mlir, again = ((tmp_path / name / "module.mlirbc").read_bytes() for name in ("here", "elsewhere"))
    assert again == mlir
    assert compile_module(tmp_path / "here" / "module.mlirbc", tmp_path / "again.vmfb", HOST).path.read_bytes() == code
    assert b"compile/kernels/modules.py" in mlir  # where an operation comes from is said relative to the project
    for folder in (Path(compile.pipeline.__file__).parents[1], Path(torch.__file__).parents[1], tmp_path):
        assert str(folder).encode() not in mlir
        assert str(folder).encode() not in code


_IMPORT = """
import sys
from pathlib import Path
from compile.lowering.buckets import make_buckets
from compile.lowering.export import export_entries
from compile.lowering.import_mlir import import_programs
from compile.kernels.linking import link_kernels
from compile.kernels.modules import with_kernels
from compile.plan import plan_targets
from pqrnn.checkpoint import load_checkpoint
from targets import registry
model, out = load_checkpoint(Path(sys.argv[1])).model.folded(), Path(sys.argv[2])
plan = plan_targets([registry().get("host")], registry())[0][0].with_kernels(False)
programs = export_entries(with_kernels(model, plan.kernels), make_buckets([(4, 32), (16, 96)]))
link_kernels(import_programs(programs, out.with_name("operators.mlirbc")), out, plan.kernels, plan.processor.resolved)
"""


def test_the_golden_set_has_the_edges_and_says_what_it_leaves_out(checkpoint: Path) -> None:
    model = load_checkpoint(checkpoint).model.folded()
    golden = make_golden(Oracle(model, BUCKETS), [b"wake me", b"x " * 200], BUCKETS)
    texts = {reference.text for reference in golden.references}
    words = {len(reference.single.spans) for reference in golden.references}
    assert {bucket.words for bucket in BUCKETS} | {0, 1} <= words
    assert {bucket.bytes for bucket in BUCKETS} <= {len(text) for text in texts}
    assert b"" in texts or golden.undecided
    assert golden.too_long >= 3
    assert 0 < golden.tolerance < 1e-4
    for reference in golden.references:
        assert reference.margin > 2 * golden.tolerance
        assert np.abs(reference.single.intent - reference.double.intent).max() < golden.tolerance


def test_a_failed_compiler_leaves_the_old_package_and_a_folder_to_repeat_it(
    outcome: CompileOutcome, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        compile.plan, "target_flags", lambda target, family: (*target_flags(target, family), "--no-such-flag")
    )
    monkeypatch.setattr(
        compile.plan,
        "resolve_processor",
        lambda target, flags: compile.lowering.processor.resolve_processor(target, flags[:-1]),
    )
    out = tmp_path / "home.pqrnn"
    out.mkdir()
    (out / "manifest.json").write_bytes((outcome.package / "manifest.json").read_bytes())
    with pytest.raises(CompilerError, match="no-such-flag") as caught:
        compile_checkpoint(checkpoint, out, options=CompileOptions(buckets=BUCKETS[:1], replace=True))
    assert [file.name for file in out.iterdir()] == ["manifest.json"]
    assert caught.value.folder == tmp_path / "home.pqrnn.failed" / "host"
    assert sorted(file.name for file in caught.value.folder.iterdir()) == [
        "command.sh",
        "message.txt",
        "module.mlirbc",
        "stderr.txt",
    ]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["home.pqrnn", "home.pqrnn.failed"]
    assert "--no-such-flag" in (caught.value.folder / "command.sh").read_text()


@pytest.fixture
def compiled_before(
    code: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[str, ...]]:
    """Let the stages up to the compiler take no time: they give the module that was compiled before.

    Returned are the flags of each call of the compiler. For `vmvx` the compiler fails.
    """
    calls: list[tuple[str, ...]] = []
    monkeypatch.setenv("PQRNN_CACHE", str(tmp_path_factory.mktemp("cache")))

    def import_nothing(programs: dict[str, object], destination: Path) -> Path:
        destination.write_text("module {}")
        return destination

    def copy_module(source: Path, destination: Path, flags: tuple[str, ...], timeout: float) -> Compiled:
        calls.append(flags)
        if any("vmvx" in flag for flag in flags):
            raise CompilerError("no such luck", "a line", {"stderr.txt": b"a line"})
        destination.write_bytes(code)
        return Compiled(destination, flags, 0.0, Statistics(1, 1, 1, 1))

    monkeypatch.setattr(compile.lowering.export, "export_entries", lambda *_: {})
    monkeypatch.setattr(compile.lowering.import_mlir, "import_programs", import_nothing)
    monkeypatch.setattr(compile.build, "compile_module", copy_module)
    return calls


@pytest.mark.usefixtures("compiled_before")
def test_a_failed_verification_writes_no_package(checkpoint: Path, tmp_path: Path) -> None:
    """The module is that of another model."""
    save_checkpoint(tmp_path / "run", make_model(3), load_checkpoint(checkpoint).facts)
    out = tmp_path / "home.pqrnn"
    with pytest.raises(VerificationError) as caught:
        compile_checkpoint(tmp_path / "run", out, options=CompileOptions(buckets=BUCKETS))
    assert caught.value.folder is not None
    assert {file.name for file in caught.value.folder.iterdir()} == {
        "message.txt",
        "module.mlirbc",
        "command.sh",
        "replay.sh",
        "package.pqrnn",
    }
    assert sorted(file.name for file in tmp_path.iterdir()) == ["home.pqrnn.failed", "run"]
    again = subprocess.run(["sh", "replay.sh"], cwd=caught.value.folder, capture_output=True, text=True, check=True)
    assert '"passed":false' in again.stdout


@pytest.mark.usefixtures("compiled_before")
def test_one_failing_target_does_not_lose_the_others(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "home.pqrnn"
    steps: list[Progress] = []
    found = compile_checkpoint(
        checkpoint, out, ["vmvx", "host"], CompileOptions(buckets=BUCKETS), on_progress=steps.append
    )
    assert [variant.target for variant in open_package(out, verify=True).manifest.variants] == ["host"]
    assert list(found.failures) == ["vmvx"]
    assert (found.failures["vmvx"].stage, found.failures["vmvx"].diagnostics) == ("compile", "a line")
    assert found.failures["vmvx"].folder == tmp_path / "home.pqrnn.failed" / "vmvx"
    assert (tmp_path / "home.pqrnn.failed" / "vmvx" / "stderr.txt").read_text() == "a line"
    assert [step.state for step in steps if step.target == "vmvx"] == ["running", "failed"]
    (tmp_path / "home.pqrnn.failed" / "mine.txt").write_text("not from here")
    compile_checkpoint(checkpoint, out, ["host"], CompileOptions(buckets=BUCKETS, replace=True))
    assert [path.name for path in (tmp_path / "home.pqrnn.failed").iterdir()] == ["mine.txt"]


@pytest.mark.usefixtures("compiled_before")
def test_when_every_target_fails_nothing_is_written(checkpoint: Path, tmp_path: Path) -> None:
    save_checkpoint(
        tmp_path / "run", make_model(3), load_checkpoint(checkpoint).facts
    )  # not the model of the module that is copied
    with pytest.raises(TargetsError, match="none of 2 targets passed") as caught:
        compile_checkpoint(tmp_path / "run", tmp_path / "home.pqrnn", ["vmvx", "host"], CompileOptions(buckets=BUCKETS))
    assert {name: error.stage for name, error in caught.value.failures.items()} == {"vmvx": "compile", "host": "verify"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home.pqrnn.failed", "run"]
    assert sorted(path.name for path in (tmp_path / "home.pqrnn.failed").iterdir()) == ["host", "vmvx"]


def test_boards_with_the_same_flags_are_compiled_once_and_stored_once(
    checkpoint: Path, tmp_path: Path, compiled_before: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    proved = []

    def prove(plan: Plan, compiled: Compiled, *_: object) -> ProvedVariant:
        proved.append(plan.target.id)
        return ProvedVariant(describe_code(plan, compiled), compiled, "")

    machines = {"raspberry-pi-3": "a53", "raspberry-pi-4": "a72", "linux-aarch64": "a53", "linux-aarch64-i8mm": "max"}
    monkeypatch.setattr(compile.build, "prove_variant", prove)
    monkeypatch.setattr(compile.build, "identify_proof", lambda plan, _: ("the same", machines[plan.target.id]))
    boards = list(machines)
    first = compile_checkpoint(checkpoint, tmp_path / "a.pqrnn", boards, CompileOptions(buckets=BUCKETS))
    assert len(compiled_before) == 2
    # Equal code is proved once on each kind of machine.
    assert sorted(machines[name] for name in proved) == ["a53", "a72", "max"]
    assert [variant.target for variant in first.manifest.variants] == boards
    # All code is the same here, since nothing was really compiled; equal bytes are stored once whatever the flags were.
    assert {variant.path for variant in first.manifest.variants} == {"variants/raspberry-pi-3/module.vmfb"}
    assert sorted(open_package(tmp_path / "a.pqrnn", verify=True).manifest.files) == [
        "golden/decisions.json",
        "golden/golden.npz",
        "variants/raspberry-pi-3/module.vmfb",
    ]
    assert not first.cached
    second = compile_checkpoint(checkpoint, tmp_path / "b.pqrnn", boards, CompileOptions(buckets=BUCKETS))
    assert len(compiled_before) == 2
    assert second.cached == set(boards)
    assert second.statistics == first.statistics
    third = compile_checkpoint(checkpoint, tmp_path / "c.pqrnn", boards, CompileOptions(buckets=BUCKETS, cache=False))
    assert len(compiled_before) == 4
    assert not third.cached


def test_what_was_exported_before_is_not_exported_again(
    checkpoint: Path, tmp_path: Path, compiled_before: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another board with the same kernels needs no PyTorch trace; another parser, other buckets and `--no-cache` do."""
    exported: list[object] = []
    monkeypatch.setattr(
        compile.build, "prove_variant", lambda plan, module, *_: ProvedVariant(describe_code(plan, module), module, "")
    )
    steps: list[list[str]] = []

    def export(model: object, buckets: Sequence[Bucket], tell: Callable[[Bucket], None], *_: object) -> dict[str, Any]:
        exported.append(model)
        for bucket in buckets:
            tell(bucket)
        return {}

    monkeypatch.setattr(compile.lowering.export, "export_entries", export)

    def compile_again(run: Path, target: str, buckets: Sequence[Bucket] = BUCKETS, cache: bool = True) -> None:
        steps.append([])
        compile_checkpoint(
            run,
            tmp_path / f"{len(steps)}.pqrnn",
            [target],
            CompileOptions(buckets=buckets, cache=cache),
            on_progress=lambda step: steps[-1].append(f"{step.stage}: {step.done} of {step.total}"),
        )

    compile_again(checkpoint, "raspberry-pi-3")
    compile_again(checkpoint, "raspberry-pi-4")
    assert len(exported) == 1
    assert steps[0] == steps[1]
    compile_again(checkpoint, "raspberry-pi-4", BUCKETS[:1])
    compile_again(checkpoint, "raspberry-pi-4", cache=False)
    assert len(exported) == 3
    for seed in (3, 4):
        save_checkpoint(tmp_path / "run", make_model(seed), load_checkpoint(checkpoint).facts)
        compile_again(tmp_path / "run", "raspberry-pi-4")
    assert len(exported) == 5
    for file in Path(os.environ["PQRNN_CACHE"]).rglob("*.vmfb"):
        file.write_bytes(b"damaged")
    compile_again(checkpoint, "raspberry-pi-3")
    assert len(exported) == 6


def test_a_preview_says_what_would_be_done_and_writes_nothing(
    checkpoint: Path, tmp_path: Path, compiled_before: list[tuple[str, ...]]
) -> None:
    out = tmp_path / "home.pqrnn"
    compile_checkpoint(checkpoint, out, ["host"], CompileOptions(buckets=BUCKETS))
    before = sorted(tmp_path.rglob("*"))
    preview = preview_compilation(
        checkpoint,
        out,
        ["host", "raspberry-pi-3", "raspberry-pi-4", "linux-riscv64"],
        CompileOptions(buckets=BUCKETS, replace=True, jobs=3),
    )
    assert sorted(tmp_path.rglob("*")) == before
    assert len(compiled_before) == 1
    host, three, four, riscv = preview.targets
    assert [one.cached for one in preview.targets] == [True, False, False, False]
    assert [one.same_as for one in preview.targets] == ["", "", "raspberry-pi-3", ""]
    assert (host.runs, host.verified, riscv.runs) == (True, "this machine", False)
    assert "riscv64" in riscv.verified
    source = next(name for name in preview.mlir if name in host.command)
    plan = plan_targets([registry().get("host")], registry())[0][0].with_kernels(False)
    assert (
        source == plan.mlir and plan.kernels is not None and plan.kernels.name in source
    )  # what has kernels in it is for one processor
    assert shlex.split(host.command) == ["iree-compile", source, "-o", "host.vmfb", *HOST]
    assert three.command == four.command
    assert preview.mlir["module.mlirbc"].bytes == len("module {}")
    assert (preview.jobs, preview.buckets, list(preview.refused)) == (3, BUCKETS, [])
    assert "do not ship" in preview.notes[0]
    for targets, more in ((["host", "raspberry-pi-4"], False), (["host", "linux-riscv64"], True)):
        chosen = preview_compilation(checkpoint, out, targets, CompileOptions(replace=True)).buckets
        assert (len(chosen) > 1) == more  # where one has no kernels, all get entries of several lengths


@pytest.mark.usefixtures("compiled_before")
def test_what_came_into_the_way_meanwhile_is_not_replaced(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "home.pqrnn"

    def step_in(step: Progress) -> None:
        if step.stage == "compile":
            out.mkdir()
            (out / "mine.txt").write_text("keep me")

    with pytest.raises(PackagingError, match="exists"):
        compile_checkpoint(checkpoint, out, options=CompileOptions(buckets=BUCKETS, replace=True), on_progress=step_in)
    assert [file.name for file in tmp_path.iterdir()] == ["home.pqrnn"]
    assert (out / "mine.txt").read_text() == "keep me"


@pytest.mark.usefixtures("compiled_before")
def test_a_package_is_replaced_as_a_whole_and_only_when_asked(
    checkpoint: Path, outcome: CompileOutcome, tmp_path: Path
) -> None:
    out = tmp_path / "home.pqrnn"
    first = compile_checkpoint(checkpoint, out, options=CompileOptions(buckets=BUCKETS))
    (out / "golden" / "old.txt").write_text("of the old one")
    with pytest.raises(PlanError, match="--replace"):
        compile_checkpoint(checkpoint, out, options=CompileOptions(buckets=BUCKETS))
    second = compile_checkpoint(checkpoint, out, options=CompileOptions(buckets=BUCKETS, replace=True))
    assert {name: entry.sha256 for name, entry in first.manifest.files.items()} == {
        name: entry.sha256 for name, entry in second.manifest.files.items()
    }
    assert not (out / "golden" / "old.txt").exists()
    assert [file.name for file in tmp_path.iterdir()] == ["home.pqrnn"]


def test_requests_are_refused_before_the_work(checkpoint: Path, outcome: CompileOutcome, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="exists already"):
        compile_checkpoint(checkpoint, outcome.package)
    with pytest.raises(PlanError, match="no target"):
        compile_checkpoint(checkpoint, tmp_path / "a.pqrnn", [])
    with pytest.raises(PlanError, match="0 jobs"):
        compile_checkpoint(checkpoint, tmp_path / "a.pqrnn", options=CompileOptions(jobs=0))
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(PlanError, match="no folder that can be written to"):
        compile_checkpoint(checkpoint, tmp_path / "file" / "deep" / "a.pqrnn")
    (tmp_path / "notes").mkdir()
    with pytest.raises(PlanError, match="is no package"):
        compile_checkpoint(checkpoint, tmp_path / "notes", options=CompileOptions(replace=True))
    with pytest.raises(CheckpointError):
        compile_checkpoint(tmp_path / "nothing", tmp_path / "a.pqrnn")


def test_a_model_that_cannot_be_traced_or_imported_is_an_error_of_that_stage(tmp_path: Path) -> None:
    class Looking(torch.nn.Module):
        def forward(self, text: torch.Tensor, words: int) -> tuple[torch.Tensor, ...]:
            return (text, text, text, text) if int(text.sum()) > words else (text,) * 4

    with pytest.raises(ExportError, match="parse_4: PyTorch cannot trace the model for 4 words") as traced:
        export_entries(Looking(), BUCKETS[:1])  # type: ignore[arg-type]
    assert b"Traceback" in traced.value.evidence["traceback.txt"]

    class Odd(torch.nn.Module):
        def forward(self, text: torch.Tensor, words: int) -> tuple[torch.Tensor, ...]:
            return (torch.view_as_real(torch.fft.fft(text.float() * words)),) * 4

    programs = export_entries(Odd(), BUCKETS[:1])  # type: ignore[arg-type]
    programs["broken"] = object()  # type: ignore[assignment]
    with pytest.raises(ImportStageError, match="cannot express") as imported:
        import_programs(programs, tmp_path / "odd.mlirbc")
    assert "parse_4.fx.txt" in imported.value.evidence
    assert not list(tmp_path.iterdir())


# A compiler that never ends, so that both targets' are surely running when the signal comes; for all else the real one.
_ENDLESS = """#!/bin/sh
case "$*" in *.vmfb*) sleep 600 ;; *) exec {compiler} "$@" ;; esac
"""
_COMPILES = """
from pathlib import Path
from compile.lowering import iree_compile
from compile.lowering.buckets import make_buckets
from compile.options import CompileOptions
from compile.pipeline import compile_checkpoint
from pqrnn.cli import running
from pqrnn.cli.main import main
iree_compile.compiler_path = lambda: Path({endless!r})
options = CompileOptions(jobs=2, cache=False, buckets=make_buckets([(4, 32)]))
running.run = lambda: compile_checkpoint(
    Path({checkpoint!r}), Path({out!r}), ["host", "linux-aarch64"], options,
    on_progress=lambda step: print(step.stage, flush=True))
main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_leaves_nothing_and_nobody(checkpoint: Path, tmp_path: Path, number: int, code: int) -> None:
    endless = tmp_path / "iree-compile"
    endless.write_text(_ENDLESS.format(compiler=compiler_path()))
    endless.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "out").mkdir()
    program = _COMPILES.format(
        endless=str(endless), checkpoint=str(checkpoint), out=str(tmp_path / "out" / "home.pqrnn")
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "compile":
            break
    while len(_compilers(process.pid)) < 2:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    running = _compilers(process.pid)
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (code, "interrupted\n")
    while any(Path(f"/proc/{one}").exists() for one in running):  # the limit of the whole test ends it
        time.sleep(0.05)
    assert not list((tmp_path / "out").iterdir())
    # PyTorch sometimes leaves a folder of its own there.
    assert not [path for path in (tmp_path / "tmp").iterdir() if not path.name.startswith("torch")]


def _compilers(parent: int) -> list[int]:
    """Return the children of a process that are compilers, whichever of its threads started them."""
    found = []
    for thread in Path(f"/proc/{parent}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # of threads and children that end meanwhile
            for number in (thread / "children").read_text().split():
                if "iree-compile" in Path(f"/proc/{number}/cmdline").read_text():
                    found.append(int(number))
    return found


def test_a_package_can_be_checked_again(outcome: CompileOutcome) -> None:
    assert check_package(outcome.package, "host", repeats=1).passed
