"""The parser on a Vulkan device, Mesa's llvmpipe.

Right answers read back, no memory left behind, and a GPU that is not trusted without a test.

Each test runs a process in which the emulator is the only Vulkan device.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign import cpu_sums, summing_package, summing_text, vulkan_code
from makers.small import (
    answer_golden,
    compile_for,
    cpu_variant,
    gpu_variant,
    import_small,
    make_model,
    vulkan_flags,
    write_package,
)

from compile.emulation.runner import Runner
from compile.lowering.buckets import make_buckets
from compile.support.process import run_tool
from compile.verify.golden import GoldenSet
from compile.verify.replay import verify_variant
from pqrnn.features.utf8 import pack_texts
from runtime_py.decode.decoder import cut_text
from runtime_py.device.gpu_selftest import SelfTest
from runtime_py.tools.answers import load_answers, save_texts

Start = Callable[..., Runner]

# One entry only: Mesa takes seconds to compile the shaders of each, in every process.
BUCKETS = make_buckets([(8, 64)])
UNICODE = (
    "मुझे सात बजे जगाना",
    "ปลุกฉันตอนเจ็ดโมงเช้า",
    "⏰ wake 👩\u200d👩\u200d👧 up 🇩🇪 👍🏽",
    "明天七点叫我起床",
    "أيقظني في الساعة ٧:٣٠",
    "e\u0301te\u0301",
)
BYTES = (
    b"",
    b"\x00",
    b"\xff\xfe\x80",
    b"caf\xc3",
    b"ok \xe2\x82 ok \xf0\x9f\x98 end",
    b"\xed\xa0\x80 \xf4\x90\x80\x80",
    b"x" * 300,
    b"a " * 60,
)


@pytest.fixture(scope="module")
def golden() -> GoldenSet:
    return answer_golden(make_model(1).folded(), BUCKETS)


@pytest.fixture(scope="module")
def real(golden: GoldenSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of a whole parser, for eight lanes."""
    folder = tmp_path_factory.mktemp("real")
    module = import_small(make_model(1).folded(), folder / "module.mlirbc", BUCKETS)
    variant = gpu_variant("eight", subgroup=8)
    write_package(folder / "small.pqrnn", golden, [(variant, compile_for(module, *vulkan_flags("llvmpipe")))], BUCKETS)
    return folder / "small.pqrnn"


@pytest.fixture(scope="module")
def codes() -> dict[str, bytes]:
    """The parser that only sums, for every machine that these tests need.

    It costs a GPU of software next to nothing.
    """
    return {
        "host": cpu_sums(),
        "eight": vulkan_code("llvmpipe", summing_text()),
        "sixteen": vulkan_code("valhall4", summing_text()),
    }


@pytest.fixture(scope="module")
def package(codes: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parser that sums, for this CPU and for eight lanes."""
    path = tmp_path_factory.mktemp("packages") / "sums.pqrnn"
    summing_package(path, [(cpu_variant(), codes["host"]), (gpu_variant("eight", subgroup=8), codes["eight"])])
    return path


@pytest.fixture
def lavapipe(emulated: Start, tmp_path: Path) -> Runner:
    """Eight lanes, and a cache of self-tests of its own."""
    runner = emulated("lavapipe", lanes=8)
    return replace(runner, environment={**runner.environment, "PQRNN_CACHE": str(tmp_path / "cache")})


def ask(runner: Runner, script: str, *arguments: str | Path) -> tuple[Any, str]:
    """Run a script in which `path` is its first argument; return the JSON that it prints, and its standard error."""
    begin = "import json, sys, warnings\nfrom runtime_py import Parser\npath = sys.argv[1]\n"
    finished = run_tool([*runner.python, "-c", begin + script, *arguments], 300, environment=runner.environment)
    assert finished.code == 0, (finished.ending, finished.diagnostics)
    return json.loads(finished.output), finished.diagnostics


LOAD = """
with Parser.load(path, device=sys.argv[2]) as parser:
    chosen = parser.selection
    print(json.dumps({"target": parser.variant.target, "reason": chosen.reason, "notice": chosen.notice,
                      "rejected": chosen.rejected, "device": parser.device,
                      "intent": parser("wake me at seven").intent}))
"""


def kept_tests(runner: Runner) -> list[Path]:
    return sorted(Path(runner.environment["PQRNN_CACHE"]).glob("selftests/*.json"))


def outcome(path: Path) -> SelfTest:
    return SelfTest(**json.loads(path.read_text()))


def test_a_gpu_variant_is_verified_like_any_other(real: Path, golden: GoldenSet, lavapipe: Runner) -> None:
    parity = verify_variant(real, "eight", BUCKETS, golden, lavapipe)
    assert (parity.passed, parity.texts, parity.not_deterministic) == (True, len(golden.vectors), 0)
    assert parity.emulator == lavapipe.name
    assert "vulkan: llvmpipe" in parity.runtime
    assert 0 < parity.reference["largest"] <= golden.tolerance
    assert parity.reference["spread"] <= 1.2 * max(
        parity.reference["framework_spread"], parity.reference["ordered_spread"]
    )


def test_texts_of_every_script_and_broken_bytes_are_read_back_right(
    real: Path, golden: GoldenSet, lavapipe: Runner, tmp_path: Path
) -> None:
    texts = [*(text.encode() for text in UNICODE), *BYTES]
    save_texts(tmp_path / "in.npz", texts)
    out = tmp_path / "out.npz"
    command = [
        *lavapipe.python,
        "-m",
        "runtime_py.tools.replay",
        real,
        "--target",
        "eight",
        "--repeats",
        "1",
        "--texts",
        tmp_path / "in.npz",
        "--out",
        out,
    ]
    finished = run_tool(command, 300, environment=lavapipe.environment)
    assert finished.code == 0, finished.diagnostics
    answers = load_answers(out)
    assert answers.whole is not None
    model, (bucket,) = make_model(1).folded(), BUCKETS
    for index, text in enumerate(texts):
        read = cut_text(text, bucket.bytes)
        with torch.inference_mode():
            intent, tags, spans, count = model(pack_texts([read], bucket.bytes), bucket.words)
        words, rows = min(int(count[0]), bucket.words), answers.whole.words(index)
        np.testing.assert_array_equal(answers.whole.spans[rows], spans[0, :words])
        np.testing.assert_allclose(answers.whole.intent[index], intent[0], rtol=0, atol=2 * golden.tolerance)
        np.testing.assert_allclose(answers.whole.tags[rows], tags[0, :words], rtol=0, atol=2 * golden.tolerance)
        assert answers.truncated[index] == (len(read) < len(text) or count[0] > bucket.words)
    assert np.ptp(answers.whole.intent, axis=0).min() > 0.1  # the texts are not all alike to this model


def test_a_thousand_calls_leave_nothing_behind_and_results_are_their_owners(package: Path, lavapipe: Runner) -> None:
    script = """
from runtime_py.tools.memory import resident_bytes
parser = Parser.load(path, variant="eight", self_test=False)
texts = ["wake me at seven", "play some jazz in the kitchen please", "", "नमस्ते दुनिया"]
first = [parser.logits(text) for text in texts]
kept = [(each.intent.copy(), each.tags.copy(), each.spans.copy()) for each in first]
for i in range(500):
    parser.logits(texts[i % 4])
before = resident_bytes()
for i in range(1000):
    parser.logits(texts[i % 4])
grown = resident_bytes() - before
now = [(each.intent, each.tags, each.spans) for each in first]
same = all((a == b).all() for parts, copies in zip(now, kept) for a, b in zip(parts, copies))
again = all((parser.logits(text).intent == copies[0]).all() for text, copies in zip(texts, kept))
print(json.dumps([grown, same, again]))
"""  # the parser is not closed: a process that ends with an open GPU must not crash
    (grown, same, again), _ = ask(lavapipe, script, package)
    assert same
    assert again
    # What stays is less than one of the four staging buffers a call, 4 bytes at the smallest, would be with its
    # bookkeeping of 100 bytes and more.
    assert grown < 100_000


def test_a_closed_parser_gives_the_gpu_back_and_can_be_loaded_again(package: Path, lavapipe: Runner) -> None:
    script = """
import gc
intents = []
for _ in range(3):
    with Parser.load(path, variant="eight", self_test=False) as parser:
        intents.append(parser("wake me at seven").intent)
    del parser
    gc.collect()
print(json.dumps(intents))
"""
    intents, _ = ask(lavapipe, script, package)
    assert len(intents) == 3
    assert len(set(intents)) == 1


def test_the_cpu_is_taken_unless_a_gpu_is_asked_for(package: Path, lavapipe: Runner) -> None:
    found, errors = ask(lavapipe, LOAD, package, "auto")
    assert found["target"] == "host"
    assert found["reason"] == "host: the one variant of the package that this CPU can run"
    assert found["rejected"] == {"eight": "the CPU answers single texts sooner; device='gpu' asks for it"}
    assert (found["notice"], errors, kept_tests(lavapipe)) == ("", "", [])


def test_a_gpu_that_is_asked_for_proves_itself_once(package: Path, lavapipe: Runner) -> None:
    found, errors = ask(lavapipe, LOAD, package, "gpu")
    assert (found["target"], found["notice"], errors) == ("eight", "", "")
    assert found["reason"].startswith("eight: a GPU was asked for, and llvmpipe")
    assert "8 lanes" in found["device"]
    (kept,) = kept_tests(lavapipe)
    first = outcome(kept)
    assert (first.reason, first.target) == ("", "eight")
    assert first.seconds > 0
    again, _ = ask(lavapipe, LOAD, package, "gpu")
    assert again["intent"] == found["intent"]
    assert kept_tests(lavapipe) == [kept]
    assert outcome(kept) == first


def test_code_for_other_lanes_is_refused_and_the_cpu_takes_over_visibly(
    codes: dict[str, bytes], lavapipe: Runner, tmp_path: Path
) -> None:
    summing_package(
        tmp_path / "a.pqrnn", [(cpu_variant(), codes["host"]), (gpu_variant("sixteen", subgroup=16), codes["sixteen"])]
    )
    found, errors = ask(lavapipe, LOAD, tmp_path / "a.pqrnn", "gpu")
    assert found["target"] == "host"
    assert found["device"] == "local-sync"
    assert "lacks subgroups of 16 lanes (it has 8)" in found["notice"]
    assert found["rejected"]["sixteen"] in found["notice"]
    assert "DeviceFallback" in errors
    assert found["notice"] in errors
    assert kept_tests(lavapipe) == []


def test_a_gpu_that_computes_wrong_numbers_fails_its_self_test(
    codes: dict[str, bytes], lavapipe: Runner, tmp_path: Path
) -> None:
    """The code is for sixteen lanes and says that it is for eight, as a broken driver's would: nothing else notices."""
    summing_package(
        tmp_path / "a.pqrnn", [(cpu_variant(), codes["host"]), (gpu_variant("liar", subgroup=8), codes["sixteen"])]
    )
    found, errors = ask(lavapipe, LOAD, tmp_path / "a.pqrnn", "gpu")
    assert found["target"] == "host"
    assert "its self-test on llvmpipe" in found["notice"]
    assert "gave wrong answers" in found["notice"]
    assert "DeviceFallback" in errors
    (kept,) = kept_tests(lavapipe)
    assert "over the tolerance" in outcome(kept).reason
    assert str(kept) in found["notice"]  # what to delete to test again
    named = (
        'try:\n    Parser.load(path, variant="liar")\n'
        "except Exception as error:\n    print(json.dumps([type(error).__name__, str(error)]))"
    )
    (kind, message), _ = ask(lavapipe, named, tmp_path / "a.pqrnn")
    assert kind == "DeviceError"
    assert "gave wrong answers" in message


def test_a_machine_without_vulkan_says_what_to_install(package: Path, lavapipe: Runner) -> None:
    none = replace(
        lavapipe,
        environment={**lavapipe.environment, "VK_ICD_FILENAMES": "/nonexistent", "VK_DRIVER_FILES": "/nonexistent"},
    )
    found, errors = ask(none, LOAD, package, "gpu")
    assert found["target"] == "host"
    assert "apt install libvulkan1 mesa-vulkan-drivers" in found["notice"]
    assert "DeviceFallback" in errors
