"""A native parser: C, C++, Python and Rust call the same library, which decides as Python's decoder does."""

from __future__ import annotations

import json
import pickle
import platform
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers.native import LABELS, build_tiny, compiler, expect, write_tiny
from makers.small import CONFIG, TEXTS, make_model
from makers.small import LABELS as SMALL
from tiny_package import oracle
from typer.testing import CliRunner

from benchmarks import native_fuzz
from benchmarks.fuzzing.decode import find_compiler
from benchmarks.native_fuzz import build_host as build_fuzzer
from benchmarks.native_fuzz import feed
from compile.native.building import build_native
from compile.native.errors import NativeError, WrongProcessorError
from compile.native.pipeline import build_native_parsers
from compile.native.proof import answer_texts, build_host
from compile.native.writing import Sources
from compile.support.errors import PackagingError, PlanError
from compile.verify.golden import TRICKY
from pqrnn.checkpoint import Facts, save_checkpoint
from pqrnn.cli.running import app
from pqrnn.evaluation.prediction import compute_logits
from runtime_py import Parser
from runtime_py.decode.answers import encode_text
from runtime_py.errors import (
    DeviceError,
    DigestError,
    InputTooLongError,
    PackageError,
    ParserClosedError,
    SchemaError,
    UnsupportedTargetError,
)
from runtime_py.execute.word_count import guess_words
from runtime_py.native.manifest import read_manifest
from runtime_py.native.parser import NativeParser

_BITS = st.one_of(
    st.text(st.sampled_from("ab cdefgh19.!é日本ก😀\u0301")),
    st.binary(max_size=90),
    st.lists(st.sampled_from(["a", "bb", "c9", "é", "日", "\xff"]), max_size=20).map(" ".join),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    return build_tiny(tmp_path_factory.mktemp("native") / "tiny", tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sources, Path]:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    return write_tiny(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def parser(folder: Path) -> NativeParser:
    return Parser.load(folder, engine="native", on_long="truncate")


def check(parser: NativeParser, text: str | bytes) -> None:
    got, wanted = parser(text).to_dict(), expect(text).to_dict()
    assert got.pop("score") == pytest.approx(wanted.pop("score"), rel=1e-6)
    assert got == wanted


@settings(max_examples=300)
@given(_BITS)
def test_it_decides_as_python_does(parser: NativeParser, text: str | bytes) -> None:
    check(parser, text)


def test_tricky_texts_and_lone_surrogates(parser: NativeParser) -> None:
    for text in (
        *TRICKY,
        "a\ud800b",
        b"a" * 64,
        b"a" * 65,
        b"a " * 40,
        "é".encode() * 40,
        bytearray(b"a b"),
        memoryview(b"c"),
    ):
        check(parser, bytes(text) if isinstance(text, bytearray | memoryview) else text)
    with pytest.raises(TypeError, match="expected str or bytes"):
        parser(7)  # type: ignore[arg-type]


def test_a_text_that_is_too_long_is_refused_where_it_may_not_be_cut(folder: Path) -> None:
    with Parser.load(folder) as parser:
        assert isinstance(parser, NativeParser)
        assert isinstance(parser, Parser)
        for text in ("x" * 65, "a " * 17):
            with pytest.raises(InputTooLongError, match="reads up to 16 words in 64 bytes"):
                parser(text)
        with pytest.raises(InputTooLongError, match="text 1 of the batch"):
            parser.parse_batch(["a", "a " * 17])
        assert [parse.intent for parse in parser.parse_batch(["a", "b"])] == [expect("a").intent, expect("b").intent]
    with pytest.raises(ParserClosedError):
        parser("a")
    parser.close()
    with pytest.raises(ParserClosedError):
        pickle.dumps(parser)


def test_intents_are_ranked_by_probability(parser: NativeParser) -> None:
    intent = oracle(b"wake me", 4)[0]
    shares = np.exp(intent.astype(float)) / np.exp(intent.astype(float)).sum()
    order = np.argsort(-intent, kind="stable")
    for most in (1, 3, 5, 9):
        ranked = parser.rank("wake me", most)
        assert [name for name, _ in ranked] == [LABELS.intents[index] for index in order[:most]]
        assert [score for _, score in ranked] == pytest.approx(shares[order[:most]])
    with pytest.raises(ValueError, match="at least 1"):
        parser.rank("a", 0)


def test_a_copy_and_threads_answer_alike(parser: NativeParser) -> None:
    texts = ["wake me", "a b c d e", "x", "réveille-moi"] * 30
    expected = parser.parse_batch(texts)
    answers: dict[int, list[object]] = {}
    copies = [pickle.loads(pickle.dumps(parser)) for _ in range(2)]

    def work(number: int, used: NativeParser) -> None:
        answers[number] = list(used.parse_batch(texts))

    threads = [threading.Thread(target=work, args=(n, used)) for n, used in enumerate([parser, parser, *copies])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answers[number] == expected for number in range(4))


def test_nothing_else_is_imported(folder: Path) -> None:
    code = (
        "import sys; from runtime_py import Parser; print(Parser.load(sys.argv[1])('a b').intent)\n"
        "assert not {'numpy', 'iree', 'msgspec'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expect("a b").intent


def test_a_host_in_c_answers_too(sources: tuple[Sources, Path], folder: Path, tmp_path: Path) -> None:
    program = build_host(sources[0], folder / "host" / f"lib{sources[0].prefix}.a", compiler())
    texts = [*TRICKY, b"a b c d e f g", b"x" * 70, b"a " * 30]
    for answer, text in zip(answer_texts([program], texts, "here", "--truncate"), texts, strict=True):
        wanted = expect(text)
        assert (answer["intent"], answer.get("truncated", False)) == (wanted.intent, wanted.truncated)
        pieces = [text[slot["start"] : slot["end"]].decode("utf-8", "replace") for slot in answer["slots"]]
        assert pieces == [slot.text for slot in wanted.slots]
        assert [slot["label"] for slot in answer["slots"]] == [slot.label for slot in wanted.slots]
        assert len(answer["words"]) == wanted.words
    refused = answer_texts([program], [b"x" * 70, b"a"], "here")
    assert refused[0] == {"id": 0, "refused": True}
    plain = subprocess.run([program, "wake me"], capture_output=True, text=True, check=True)
    assert json.loads(plain.stdout)["intent"] == expect("wake me").intent
    wrong = subprocess.run([program, "--base64"], input="~~\n", capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr) == (2, "line 1: no base64\n")
    with pytest.raises(NativeError, match="ended with status 2"):
        answer_texts([sys.executable, "-c", "raise SystemExit(2)"], [b"a"], "here")


# Two parsers in one program, an old header with a smaller answer, memory of the caller, arguments that are wrong.
_HOST = r"""
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "tiny_one.h"
#include "tiny_two.h"

int main(void) {
  size_t size = tiny_one_memory();
  char *memory = (char *)malloc(size + 1);
  struct tiny_one_parser *first, *again;
  struct tiny_two_parser *second;
  assert(tiny_one_open_in(memory + 1, size, &first) == PQRNN_NATIVE_OK);  /* wherever it lies */
  assert(tiny_one_open_in(memory, size - 1, &again) == PQRNN_NATIVE_NO_MEMORY && !again);
  assert(tiny_one_open_in(NULL, size, &again) == PQRNN_NATIVE_NO_MEMORY);
  assert(tiny_one_open_in(memory, size, NULL) == PQRNN_NATIVE_BAD_ARGUMENT);
  assert(tiny_one_open(NULL) == PQRNN_NATIVE_BAD_ARGUMENT);
  assert(tiny_one_open(&again) == PQRNN_NATIVE_OK && tiny_two_open(&second) == PQRNN_NATIVE_OK);
  assert(tiny_one_abi() == PQRNN_NATIVE_ABI && tiny_two_abi() >> 16 == 1);
  pqrnn_answer_t answer, other;
  memset(&answer, 0, sizeof answer);
  answer.size = sizeof answer;
  other = answer;
  assert(tiny_one_parse(first, "a b c", 5, 0, &answer) == PQRNN_NATIVE_OK && answer.words == 3 && answer.read == 5);
  assert(tiny_two_parse(second, "d e", 3, 0, &other) == PQRNN_NATIVE_OK && other.words == 2);
  assert(answer.slots != other.slots && answer.words == 3);  /* neither call touched the other's answer */
  assert(tiny_one_parse(again, NULL, 0, 0, &other) == PQRNN_NATIVE_OK && other.words == 0 && other.slot_count == 0);
  assert(tiny_one_parse(first, NULL, 3, 0, &answer) == PQRNN_NATIVE_BAD_ARGUMENT);
  assert(tiny_one_parse(NULL, "a", 1, 0, &answer) == PQRNN_NATIVE_BAD_ARGUMENT);
  assert(tiny_one_parse(first, "a", 1, 0, NULL) == PQRNN_NATIVE_BAD_ARGUMENT);
  answer.size = 8;
  assert(tiny_one_parse(first, "a", 1, 0, &answer) == PQRNN_NATIVE_BAD_ARGUMENT);
  /* As a host that was built with an answer that ends before the logits: what lies behind stays as it is. */
  answer.size = (uint32_t)((char *)&answer.intent_logits - (char *)&answer);
  answer.intent_logits = (const float *)(void *)memory;
  assert(tiny_one_parse(first, "a", 1, 0, &answer) == PQRNN_NATIVE_OK && answer.words == 1);
  assert(answer.intent_logits == (const float *)(void *)memory);
  pqrnn_ranked_t ranked[3];
  assert(tiny_one_rank(first, ranked, 3) == 3);
  assert(ranked[0].score >= ranked[1].score && ranked[1].score >= ranked[2].score);
  assert(!tiny_one_rank(NULL, ranked, 3) && !tiny_one_rank(first, NULL, 3) && !tiny_one_rank(first, ranked, 0));
  assert(!strcmp(tiny_one_name(), "tiny-one") && !strcmp(tiny_two_name(), "tiny-two"));
  assert(tiny_one_intents() == 5 && !tiny_one_intent_name(5) && !tiny_one_intent_name(-1) && !tiny_one_tag_name(5));
  assert(!strcmp(tiny_one_tag_name(0), "O") && !strcmp(tiny_one_intent_name(2), "say \"hi\" \\ ?""?/"));
  for (int status = 0; status < 9; ++status) assert(strlen(tiny_one_message(status)) > 3);
  tiny_one_close(again);
  tiny_one_close(NULL);
  tiny_two_close(second);
  free(memory);
  return 0;
}
"""


@pytest.mark.parametrize(("program", "suffix"), [("gcc", "c"), ("g++", "cpp")])
def test_two_parsers_in_one_program(
    program: str, suffix: str, sources: tuple[Sources, Path], folder: Path, tmp_path: Path
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    second, kernels = write_tiny(tmp_path / "two", "tiny-two")
    library = build_native(second, kernels, compiler(), tmp_path).static
    (tmp_path / f"host.{suffix}").write_text(_HOST)
    # Sanitizers where they are at hand: gcc's own.
    command = [program, "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", f"-I{sources[0].folder}"]
    command += [f"-I{second.folder}", f"host.{suffix}", str(folder / "host" / "libtiny_one.a"), str(library)]
    subprocess.run([*command, "-lm", "-o", "host"], cwd=tmp_path, check=True)
    done = subprocess.run(["./host"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_random_texts_touch_nothing_that_is_not_theirs(sources: tuple[Sources, Path], tmp_path: Path) -> None:
    """A short run of `benchmarks.native_fuzz`, which has to notice a kernel that reads past its text, too."""
    if (cc := find_compiler()) is None:
        pytest.skip("no C compiler")
    written, kernels = sources
    assert kernels == written.folder / "kernels.o"
    assert all(path.name.startswith(written.prefix) for path in written.compiled)
    program, checked = build_fuzzer(tmp_path, written.folder, written.prefix, cc)
    assert feed(program, 2000, 1) == (2000, "")
    if checked:
        wrong = tmp_path / "wrong.c"
        code = native_fuzz.SOURCE.read_text("utf-8")
        changed = code.replace("(parser, text, (int32_t)size,", "(parser, text + 1, (int32_t)size,")
        assert changed != code
        wrong.write_text(changed, "utf-8")
        program, _ = build_fuzzer(tmp_path, written.folder, written.prefix, cc, wrong)
        assert "heap-buffer-overflow" in feed(program, 50, 1)[1]


def test_rust_calls_it_without_a_crate(folder: Path, tmp_path: Path) -> None:
    if shutil.which("rustc") is None:
        pytest.skip("rustc is not installed")
    example = Path(__file__).parents[2] / "compile" / "native" / "examples" / "host.rs"
    code = example.read_text().replace("mtop_en", "tiny_one")
    (tmp_path / "host.rs").write_text(code)
    subprocess.run(["rustc", "host.rs", "-o", "host", "-L", str(folder / "host")], cwd=tmp_path, check=True)
    done = subprocess.run(["./host", "a b c"], cwd=tmp_path, capture_output=True, text=True, check=True)
    wanted = expect("a b c")
    lines = done.stdout.splitlines()
    assert lines[0].split()[0] == wanted.intent
    assert lines[1:] == [f"  {slot.label}: {slot.text}" for slot in wanted.slots]


def test_what_is_no_such_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    document = json.loads((copy / "native.json").read_text())
    with pytest.raises(PackageError, match=r"no variant 'pi'; it has: host"):
        NativeParser.load(copy, variant="pi")
    with pytest.raises(ValueError, match="on_long"):
        NativeParser.load(copy, on_long="cut")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="engine is 'gpu'"):
        Parser.load(copy, engine="gpu")  # type: ignore[call-overload]
    with pytest.raises(PackageError, match="a folder of native libraries"):
        Parser.load(copy, engine="iree")
    with pytest.raises(PackageError, match="is no package"):
        Parser.load(tmp_path, engine="native")
    library = copy / document["variants"][0]["library"]
    library.write_bytes(library.read_bytes()[:-1] + b"?")
    with pytest.raises(DigestError, match="Copy the folder again"):
        Parser.load(copy)
    library.write_bytes(b"no library")
    with pytest.raises(DeviceError, match="cannot be loaded"):
        NativeParser.load(copy, verify=False)
    library.unlink()
    with pytest.raises(PackageError, match="cannot be read"):
        Parser.load(copy)
    for change in (
        {"schema": 2},
        {"prefix": "a b"},
        {"variants": 7},
        {"variants": [{**document["variants"][0], "library": "../x.so"}]},
        {"variants": [{**document["variants"][0], "files": {"../x.so": {"sha256": "", "bytes": 1}}}]},
    ):
        (copy / "native.json").write_text(json.dumps({**document, **change}))
        with pytest.raises(SchemaError, match="Build it again"):
            read_manifest(copy)
    for content in (b"[", b"[]", b"\xff", b"[" * 100_000, b" " * (1 << 21)):
        (copy / "native.json").write_bytes(content)
        with pytest.raises(SchemaError, match="Build it again"):
            read_manifest(copy)
    document["variants"][0]["triple"] = "riscv64-unknown-linux-gnu"
    (copy / "native.json").write_text(json.dumps(document))
    with pytest.raises(UnsupportedTargetError, match=r"nothing for \w+ under linux; it has: host"):
        Parser.load(copy)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="asks for a feature of x86-64")
def test_a_processor_without_the_instructions_is_refused(tmp_path: Path) -> None:
    folder = build_tiny(tmp_path / "tiny", tmp_path / "sources", ("sse4.2", "xop", "amx-fp16"))  # no processor has both
    with pytest.raises(UnsupportedTargetError, match=r"lacks instructions .*: amx-fp16, sse4\.2, xop"):
        Parser.load(folder)
    sources = Sources(tmp_path / "sources", "tiny_one", 0, 0)
    program = build_host(sources, folder / "host" / "libtiny_one.a", compiler())
    with pytest.raises(WrongProcessorError, match="here: this processor lacks instructions"):
        answer_texts([program], [b"a"], "here")


def test_the_guess_at_words_is_that_of_python(sources: tuple[Sources, Path], tmp_path: Path) -> None:
    import ctypes

    from compile.native.guessing import guess_ranges

    (tmp_path / "guess.c").write_text(
        f'#include "decode.h"\n#define GUESS_ROWS {guess_ranges()}\n#include "guess.h"\n'
        "int32_t guess(const uint8_t *text, size_t size) { return guess_words(text, size); }\n"
    )
    where = f"-I{sources[0].folder}"
    subprocess.run(["cc", "-shared", "-fPIC", where, "guess.c", "-o", "guess.so"], cwd=tmp_path, check=True)
    library = ctypes.CDLL(str(tmp_path / "guess.so"))
    library.guess.argtypes = (ctypes.c_char_p, ctypes.c_size_t)

    @settings(max_examples=400)
    @given(st.one_of(st.text(), st.binary(), st.text(st.sampled_from("ab9.é ๙กา日・ー・😀\u200b\u0301"))))
    def compare(text: str | bytes) -> None:
        shown, raw = encode_text(text)
        assert library.guess(raw, len(raw)) == guess_words(shown, raw)

    compare()


def test_a_checkpoint_becomes_libraries_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PQRNN_CC", "cc")
    run, out = tmp_path / "runs" / "small", tmp_path / "small-native"
    facts = Facts(
        config=CONFIG, labels=SMALL, data={}, revision="0", training={}, metrics={}, lengths=[], golden_texts=TEXTS
    )
    model = make_model(1)
    save_checkpoint(run, model, facts)
    command = ["native", str(run), "--out", str(out), "--bucket", "24:96", "--sources", "--java", "--json"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0
    (said,) = json.loads(done.stdout)["parsers"]
    assert (said["compiler"], said["proof"]["machine"], said["proof"]["reason"]) == ("cc", "this machine", "")
    assert 0 < said["proof"]["largest"] <= said["proof"]["tolerance"]
    assert {"text", "logits of the tags", "number of words"} <= {part["name"] for part in said["memory"]}
    assert max(part["offset"] + part["bytes"] for part in said["memory"]) <= said["variant"]["memory"]
    assert sorted(path.name for path in (out / "host").iterdir()) == ["libsmall.a", "libsmall.so", "source"]
    assert {"small.c", "small.h", "decode.h", "kernels.o"} <= {
        path.name for path in (out / "host" / "source").iterdir()
    }
    decoder = SMALL.decoder()
    with Parser.load(out) as parser:
        for text, answer in zip(TEXTS, compute_logits(model, TEXTS), strict=True):
            wanted = decoder.parse(text, text.encode(), answer.intent, answer.tags, answer.spans)
            assert parser(text).to_dict() | {"score": 0} == wanted.to_dict() | {"score": 0}
            assert parser(text).score == pytest.approx(wanted.score, abs=1e-4)
    # Only the query of the kernels and what the header declares are public.
    names = subprocess.run(["nm", "-D", "--defined-only", out / "host" / "libsmall.so"], capture_output=True, text=True)
    public = [line.split()[-1] for line in names.stdout.splitlines()]
    java = {name for name in public if name.startswith("Java_")}
    assert java == {f"Java_pqrnn_Small_{method}" for method in ("open", "close", "setLeast", "parse")}
    assert all(name.startswith("small_") for name in public if name not in java)
    assert "public final class Small implements" in (out / "java" / "pqrnn" / "Small.java").read_text()
    assert 'module small {\n  header "small.h"' in (out / "module.modulemap").read_text()
    with pytest.raises(PackagingError, match="exists already"):
        build_native_parsers(run, out)
    with pytest.raises(PlanError, match="vulkan: a native parser is code for a processor"):
        build_native_parsers(run, tmp_path / "other", ["vulkan"])
    with pytest.raises(PlanError, match="each once"):
        build_native_parsers(run, tmp_path / "other", ["host", "host"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "small-native"]
