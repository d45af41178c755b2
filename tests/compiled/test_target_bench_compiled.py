"""Variants that run on this machine are timed by the runtime's own program.

The counts agree with what that program sees.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tiny_package import BUCKETS, compile_module, write_package
from typer.testing import CliRunner

from compile.emulation.runner import native_tools
from compile.support.process import run_tool
from compile.target_bench import BenchError, bench_targets, count_dispatches, measure_module


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "tiny.pqrnn"
    write_package(path, compile_module())
    return path


def module_of(package: Path) -> Path:
    return package / "variants" / "generic" / "module.vmfb"


def test_a_native_variant_is_timed_and_the_documents_are_whole(package: Path) -> None:
    (figures,) = bench_targets(package, ["all"], seconds=0.3)
    assert (figures.target, figures.runner, figures.emulated, figures.notes) == ("generic", "this machine", False, [])
    assert [entry.entry for entry in figures.entries] == [bucket.entry for bucket in BUCKETS]
    for entry in figures.entries:
        document = figures.benchmarks[entry.entry]
        seen = [each for each in document["benchmarks"] if each["run_type"] == "iteration"]
        assert len(seen) == len(entry.microseconds) == 5
        assert document["context"]["num_cpus"] >= 1
        scale = {"ns": 1e-3, "us": 1.0, "ms": 1e3}[seen[0]["time_unit"]]
        assert entry.microseconds[0] == pytest.approx(seen[0]["real_time"] * scale)
        assert 0.1 < min(entry.microseconds) <= max(entry.microseconds) < 1e6
        assert entry.instructions_code is None
        assert entry.peak_bytes is not None
        assert entry.peak_bytes > entry.bytes


def test_sizes_add_up_to_the_module(package: Path) -> None:
    sizes = measure_module(module_of(package))
    assert sizes.code > 1000
    assert sizes.weights == 0
    whole = module_of(package).stat().st_size
    assert 0 < whole - (sizes.code + sizes.weights + sizes.program) < 2000  # the archive's own headers


def test_launches_agree_with_what_the_runtime_executes(package: Path) -> None:
    counted = count_dispatches(module_of(package), [bucket.entry for bucket in BUCKETS])
    for bucket in BUCKETS:
        options = [
            f"--function={bucket.entry}",
            f"--input=1x{bucket.bytes // 4}xi32=7",
            "--benchmark_min_time=3x",
            "--benchmark_format=json",
        ]
        command = [
            native_tools() / "iree-benchmark-module",
            "--device=local-sync",
            f"--module={module_of(package)}",
            *options,
            "--dispatch_statistics",
        ]
        finished = run_tool(command, 120)
        calls = [each["calls"] for each in json.loads(finished.output)["benchmarks"] if "calls" in each]
        assert counted[bucket.entry] == sum(calls) > 3


def test_a_function_that_is_not_there_is_said(package: Path) -> None:
    with pytest.raises(BenchError, match="has no function parse_99"):
        count_dispatches(module_of(package), ["parse_99"])


def test_a_variant_that_is_not_there_is_said_with_those_that_are(package: Path) -> None:
    with pytest.raises(BenchError, match="no variant 'raspberry'; it has: generic"):
        bench_targets(package, ["raspberry"])


def test_the_command_prints_tables_or_json_and_keeps_documents(package: Path, tmp_path: Path) -> None:
    from pqrnn.cli.running import app

    arguments = ["bench", str(package), "--target", "generic", "--seconds", "0.1"]
    printed = CliRunner().invoke(app, [*arguments, "--keep", str(tmp_path / "kept")])
    assert printed.exit_code == 0, printed.output
    assert "this machine" in printed.output
    assert len(list((tmp_path / "kept").glob("generic.parse_*.json"))) == len(BUCKETS)
    document = CliRunner().invoke(app, [*arguments, "--json"])
    (figures,) = json.loads(re.sub(r"^generic: .*\n", "", document.stdout))
    assert [entry["dispatches"] for entry in figures["entries"]] == list(
        count_dispatches(module_of(package), [b.entry for b in BUCKETS]).values()
    )


@pytest.mark.parametrize("more", [["--threads", "2"], ["--variant", "generic"], ["--data", "home:en"]])
def test_options_of_the_other_measurement_are_refused(package: Path, more: list[str]) -> None:
    from pqrnn.cli.running import app

    result = CliRunner().invoke(app, ["bench", str(package), "--target", "generic", *more])
    assert result.exit_code == 2
