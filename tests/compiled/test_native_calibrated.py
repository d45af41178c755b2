"""Native parsers with a calibration: every host gives the scores of Python's decoder, and rejects what it rejects."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import pickle
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers.native import CALIBRATION, LABELS, build_tiny, build_web, compiler, expect
from msgspec.structs import replace

from compile.native.proof import answer_texts, build_host, judge_scores
from compile.native.web import node_command
from compile.native.writing import Sources
from compile.support.errors import VerificationError
from compile.verify.golden import TRICKY
from runtime_py import Parser
from runtime_py.decode.answers import Parse
from runtime_py.decode.rejection import MinScore, choose_rejection
from runtime_py.errors import CalibrationMissingError, PackageError
from runtime_py.native.interface import Answer
from runtime_py.native.parser import NativeParser

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: apt-get install gcc libc6-dev")
_TEXTS = [*(text for text in TRICKY if len(text) < 60), b"", b"a b c d e f g", b"wake me", b"x" * 60]
_BITS = st.one_of(
    st.text(st.sampled_from("ab cdefgh19.!é日本ก😀")), st.lists(st.sampled_from("abcdefg"), max_size=20).map(" ".join)
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(scope="module")
def folder(scratch: Path) -> Path:
    return build_tiny(scratch / "tiny", scratch / "c", calibration=CALIBRATION)


@pytest.fixture(scope="module")
def plain(scratch: Path) -> Path:
    return build_tiny(scratch / "plain", scratch / "plain_c")


@pytest.fixture(scope="module")
def parser(folder: Path) -> NativeParser:
    return Parser.load(folder, engine="native", on_long="truncate", min_score="recommended")


def scores(parse: Parse) -> list[float]:
    return [
        parse.score,
        *(() if parse.in_scope is None else (parse.in_scope,)),
        *(slot.score for slot in parse.slots if slot.score is not None),
        *(alternative.score for alternative in parse.alternatives),
    ]


def without_scores(parse: Parse) -> Parse:
    alternatives = tuple(dataclasses.replace(each, score=0) for each in parse.alternatives)
    return dataclasses.replace(parse, score=0, in_scope=0, alternatives=alternatives)


@settings(max_examples=150)
@given(_BITS, st.integers(0, 7))
def test_python_gives_what_the_package_gives(parser: NativeParser, text: str, alternatives: int) -> None:
    wanted = choose_rejection("recommended", CALIBRATION, "").apply(expect(text, CALIBRATION, alternatives))
    found = parser(text, alternatives=alternatives)
    assert scores(found) == pytest.approx(scores(wanted), rel=1e-6)
    assert without_scores(found) == without_scores(wanted)
    assert found.to_dict().keys() == wanted.to_dict().keys()


@pytest.mark.parametrize("threshold", [None, 0, 0.3, 0.5, 1, "recommended"])
def test_what_does_not_reach_the_threshold_is_rejected(folder: Path, threshold: MinScore | None) -> None:
    rejection = choose_rejection(threshold, CALIBRATION, "")
    with NativeParser.load(folder, min_score=threshold) as parser:
        again = pickle.loads(pickle.dumps(parser))
        for text in _TEXTS:
            wanted = rejection.apply(expect(text, CALIBRATION)).outcome
            assert (parser(text).outcome, again(text).outcome) == (wanted, wanted)
        said = {parser(text).outcome for text in _TEXTS}
    # Of these texts some reach the thresholds in the middle, and some do not.
    assert said == {None: {"parsed"}, 0: {"parsed"}, 1: {"rejected"}}.get(threshold, {"parsed", "rejected"})


def test_a_parser_without_calibration_is_as_before(plain: Path) -> None:
    with NativeParser.load(plain, min_score=0.5) as parser:
        for text in _TEXTS:
            wanted = choose_rejection(0.5, None, "").apply(expect(text, None, 3))
            found = parser(text, alternatives=3)
            assert scores(found) == pytest.approx(scores(wanted), rel=1e-5)  # Python's softmax is one of float32
            assert (found.calibrated, found.in_scope, found.outcome) == (False, None, wanted.outcome)
            assert [each.intent for each in found.alternatives] == [each.intent for each in wanted.alternatives]
    with pytest.raises(CalibrationMissingError, match=r"plain: has no calibration.*build it again"):
        Parser.load(plain, min_score="recommended")
    for wrong in (-1, 1.5, float("nan"), "high"):
        with pytest.raises(ValueError, match="min_score is"):
            Parser.load(plain, min_score=wrong)


def test_a_library_of_the_first_interface_says_what_it_lacks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with NativeParser.load(folder) as parser:
        monkeypatch.setattr(parser._library, "abi", 0x10000)
        with pytest.raises(PackageError, match=r"interface 1\.0 has no alternatives\. Build it again"):
            parser("a", alternatives=1)


def judged(answers: list[dict[str, Any]], least: bool) -> None:
    """Compare a host's answers with Python's."""
    judge_scores(answers, LABELS, _TEXTS, CALIBRATION, "here")
    rejection = choose_rejection("recommended" if least else None, CALIBRATION, "")
    for answer, text in zip(answers, _TEXTS, strict=True):
        wanted = expect(text, CALIBRATION)
        assert answer["calibrated"]["score"] == pytest.approx(wanted.score, rel=1e-6)
        assert answer["score"] == pytest.approx(expect(text).score, rel=1e-5)
        assert answer.get("rejected", False) == (rejection.apply(wanted).outcome == "rejected")


def test_a_host_in_c_gives_the_same_and_the_proof_sees_what_differs(folder: Path, scratch: Path) -> None:
    program = build_host(Sources(scratch / "c", "tiny_one", 0, 0), folder / "host" / "libtiny_one.a", compiler())
    answers = answer_texts([program], _TEXTS, "here")
    judged(answers, least=False)
    judged(answer_texts([program], _TEXTS, "here", "--recommended"), least=True)
    # The proof of a build finds another calibration, and one that is nearly right.
    with pytest.raises(VerificationError, match="another calibration"):
        judge_scores(answers, LABELS, _TEXTS, None, "here")
    with pytest.raises(VerificationError, match="another calibration"):
        judge_scores([{**answers[0], "calibrated": 0}, *[{}] * (len(answers) - 1)], LABELS, _TEXTS, None, "here")
    nearly = replace(CALIBRATION, slots=replace(CALIBRATION.slots, bias=0.25001))
    with pytest.raises(VerificationError, match="calibrated otherwise than Python"):
        judge_scores(answers, LABELS, _TEXTS, nearly, "here")


@pytest.mark.skipif(shutil.which("node") is None or find_spec("ziglang") is None, reason="Node or zig is missing")
def test_node_gives_the_same(scratch: Path) -> None:
    web = build_web(scratch / "web", scratch / "web_c", CALIBRATION)
    command = node_command(web / "webassembly", scratch)
    assert command is not None
    judged(answer_texts(command, _TEXTS, "Node"), least=False)
    judged(answer_texts(command, _TEXTS, "Node", "--recommended"), least=True)
    script = """
    import { load } from './index.js';
    const parser = await load();
    const fails = [];
    for (const least of [-1, 1.5, NaN, 'high']) {
      try { parser.setMinScore(least); } catch (error) { fails.push(error.code); }
    }
    parser.setMinScore(1);
    console.log(JSON.stringify([fails, parser.parse('wake me', { alternatives: 9 })]));
    """
    (web / "webassembly" / "script.mjs").write_text(script)
    done = subprocess.run(["node", "script.mjs"], cwd=web / "webassembly", capture_output=True, text=True, check=True)
    fails, answer = json.loads(done.stdout)
    wanted = expect("wake me", CALIBRATION, 9)
    assert (fails, answer["rejected"], answer["calibrated"]) == ([2] * 4, True, True)
    assert [each["intent"] for each in answer["alternatives"]] == [each.intent for each in wanted.alternatives]
    found = [answer["score"], answer["inScope"], *(slot["score"] for slot in answer["slots"])]
    assert found == pytest.approx(scores(expect("wake me", CALIBRATION)), rel=1e-6)


def test_rust_rejects_what_python_rejects(folder: Path, tmp_path: Path) -> None:
    if shutil.which("rustc") is None:
        pytest.skip("rustc is not installed")
    example = Path(__file__).parents[2] / "compile" / "native" / "examples" / "host.rs"
    (tmp_path / "host.rs").write_text(example.read_text().replace("mtop_en", "tiny_one"))
    subprocess.run(["rustc", "host.rs", "-o", "host", "-L", str(folder / "host")], cwd=tmp_path, check=True)
    for text in ("wake me", "a b c"):
        for least in ("recommended", "0", "1"):
            threshold: Any = least if least == "recommended" else float(least)
            wanted = choose_rejection(threshold, CALIBRATION, "").apply(expect(text, CALIBRATION))
            done = subprocess.run(["./host", text, least], cwd=tmp_path, capture_output=True, text=True, check=True)
            rejected = " (rejected)" if wanted.outcome == "rejected" else ""
            assert done.stdout.splitlines()[0] == f"{wanted.intent} {wanted.score:.2f}{rejected}"


# A host that was built with the header of version 1.0, which this is: its answer ends where that ended.
_OLD_HOST = r"""
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
typedef struct { const char *label; int32_t start, end, first, last; } pqrnn_answer_slot_t;
typedef struct {
  uint32_t size;
  int32_t intent, words, truncated, slot_count, read;
  double score;
  const char *intent_name;
  const pqrnn_answer_slot_t *slots;
  const float *intent_logits, *tag_logits;
  const int32_t *spans;
} pqrnn_answer_t;
typedef struct tiny_one_parser tiny_one_parser;
int tiny_one_open(tiny_one_parser **opened);
int tiny_one_parse(tiny_one_parser *parser, const char *text, size_t size, uint32_t flags, pqrnn_answer_t *answer);
void tiny_one_close(tiny_one_parser *parser);

int main(int argc, char **argv) {
  struct { pqrnn_answer_t answer; unsigned char behind[64]; } held;
  memset(&held, 0x5A, sizeof held);
  held.answer.size = sizeof held.answer;
  tiny_one_parser *parser;
  if (argc < 2 || tiny_one_open(&parser)) return 1;
  if (tiny_one_parse(parser, argv[1], strlen(argv[1]), 0, &held.answer)) return 2;
  for (size_t i = 0; i < sizeof held.behind; ++i) if (held.behind[i] != 0x5A) return 3;
  printf("%s %d %.9g %d %.9g %d\n", held.answer.intent_name, (int)held.answer.words, held.answer.score,
         (int)held.answer.slot_count, (double)held.answer.intent_logits[0], (int)held.answer.spans[1]);
  tiny_one_close(parser);
  return 0;
}
"""


def test_an_old_header_works_with_a_new_library(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "old.c").write_text(_OLD_HOST)
    command = ["cc", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "old.c"]
    subprocess.run([*command, str(folder / "host" / "libtiny_one.a"), "-o", "old"], cwd=tmp_path, check=True)
    done = subprocess.run(["./old", "wake me"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    wanted = expect("wake me", CALIBRATION)
    intent, words, score, slots, _, _ = done.stdout.split()
    assert (intent, int(words), int(slots)) == (wanted.intent, wanted.words, len(wanted.slots))
    assert float(score) == pytest.approx(wanted.score, rel=1e-6)


def test_pythons_answer_is_that_of_the_header(tmp_path: Path, scratch: Path, folder: Path) -> None:
    fields = [name for name, _ in Answer._fields_]
    lines = "".join(f'  printf("%zu\\n", offsetof(pqrnn_answer_t, {name}));\n' for name in fields)
    code = f'#include <stdio.h>\n#include "tiny_one.h"\nint main(void) {{\n{lines}'
    (tmp_path / "layout.c").write_text(f'{code}  printf("%zu\\n", sizeof(pqrnn_answer_t));\n  return 0;\n}}\n')
    subprocess.run(["cc", f"-I{scratch / 'c'}", "layout.c", "-o", "layout"], cwd=tmp_path, check=True)
    done = subprocess.run(["./layout"], cwd=tmp_path, capture_output=True, text=True, check=True)
    offsets = [getattr(Answer, name).offset for name in fields]
    assert [int(line) for line in done.stdout.split()] == [*offsets, ctypes.sizeof(Answer)]
