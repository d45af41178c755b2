"""The C rules of `runtime_py/c/decode.h` against those of Python, on any bytes and any tags."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers.runtime_fakes import fake_manifest
from oracles.host import Host

from runtime_py.decode import search_limits
from runtime_py.decode.decoder import cut_text, place_run
from runtime_py.decode.frame_search import Frames
from runtime_py.decode.frame_weights import FrameWeights
from runtime_py.decode.labels import Labels
from runtime_py.decode.tags import TagScheme, split_tag
from runtime_py.package_format.file_entry import FileEntry
from runtime_py.package_format.manifest import Manifest
from runtime_py.tools.c_header import c_header

_C = Path(__file__).parents[4] / "runtime_py" / "c"
_TAGS = ["O", "B-time", "I-time", "B-place", "I-place", 'B-"odd\\?\n\x01é"', "B2-time", "B13-pl-ace"]
_INTENTS = ["a", "b", "c"]
_FRAMES = [[0, 3], [1, 2], []]  # of "odd...", "pl-ace", "place", "time"
_COUNTS = [[[2], [5, 0, 3], [1, 3], [9, 3, 3]], [[1, 1, 1, 2], [3, 2]], [[4]]]
_WRAPPER = """
#include "package.h"
size_t cut(const uint8_t *text, size_t size, size_t limit) { return pqrnn_cut(text, size, limit); }
int32_t choose(size_t bytes, int32_t words) { return pqrnn_choose(&pqrnn_package, bytes, words); }
int32_t slots(const uint8_t *text, const int32_t *tags, const int32_t *spans, int32_t words, int32_t *found) {
  pqrnn_slot_t slot;
  int32_t count = 0;
  for (int32_t word = 0; pqrnn_next_slot(&pqrnn_package, tags, spans, text, words, &word, &slot); ++count) {
    int32_t label = 0;
    while (label == 0 || strcmp(pqrnn_label(pqrnn_tag(&pqrnn_package, label)), slot.label) != 0) ++label;
    found[3 * count] = label, found[3 * count + 1] = slot.start, found[3 * count + 2] = slot.end;
  }
  return count;
}
int32_t decide(const float *intent, const float *logits, int32_t words, int32_t *tags, int any, int plain) {
  const pqrnn_outputs_t outputs = {intent, logits, 0, words};
  pqrnn_package_t package = pqrnn_package;
  if (any) package.frames = NULL;
  if (plain) package.known = NULL;
  pqrnn_end_t ends[1024];
  return pqrnn_ends(&package, words) > 1024 ? -1 : pqrnn_decide(&package, &outputs, words, ends, tags);
}
const char *tag(int32_t number) { return pqrnn_tag(&pqrnn_package, number); }
"""

# Bytes near the limits of UTF-8's table, where ill-formed sequences differ in length.
_PIECES = st.one_of(
    st.binary(max_size=4),
    st.text(max_size=3).map(lambda text: text.encode("utf-8", "replace")),
    st.sampled_from(
        [
            b" ",
            b"\xe0\x80",
            b"\xe0\xa0",
            b"\xed\xa0\x80",
            b"\xf0\x8f",
            b"\xf0\x90\x80",
            b"\xf4\x90",
            b"\xf4\x8f\xbf",
            b"\xc1\x80",
            b"\xf5",
            b"\xff",
            "é".encode(),
            "😀".encode(),
        ]
    ),
)
_BYTES = st.lists(_PIECES, max_size=40).map(b"".join)


def _manifest(labels: Labels) -> Manifest:
    from msgspec.structs import replace

    manifest = fake_manifest()
    files = {variant.path: FileEntry("0" * 64, 1) for variant in manifest.variants}
    return replace(manifest, labels=labels, files=files)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return _build(tmp_path_factory.mktemp("c"), Labels(_INTENTS, _TAGS, _FRAMES, _COUNTS))


@pytest.fixture(
    scope="module", params=[[[[9]], [[1]], [[4]]], [[], [], []], [[], [[3]], []]], ids=["no slots", "nothing", "one"]
)
def counts_without_slots(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ctypes.CDLL, list[list[list[int]]]]:
    return _build(tmp_path_factory.mktemp("c"), Labels(_INTENTS, _TAGS, _FRAMES, request.param)), request.param


@pytest.fixture(
    scope="module",
    params=[
        FrameWeights(0.4, 1.5),
        FrameWeights(0.4, 0.5, 0.5),
        FrameWeights(0.0, 1.0),
        FrameWeights(0.2, None, 0.0),
    ],
    ids=str,
)
def weighed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ctypes.CDLL, FrameWeights]:
    """The rules with other weights, and these."""
    labels = Labels(_INTENTS, _TAGS, _FRAMES, _COUNTS, request.param)
    return _build(tmp_path_factory.mktemp("c"), labels), request.param


@pytest.fixture(scope="module", params=[0, 7, 30, 100, 300])
def limited(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ctypes.CDLL, int]:
    """The rules with another budget, and that budget."""
    labels = Labels(_INTENTS, _TAGS, _FRAMES, _COUNTS)
    return _build(tmp_path_factory.mktemp("c"), labels, f"-DPQRNN_BUDGET={request.param}"), request.param


def _build(folder: Path, labels: Labels, *defined: str) -> ctypes.CDLL:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: 'cc' is not on the PATH")
    (folder / "package.h").write_text(c_header(_manifest(labels)), encoding="utf-8")
    (folder / "wrapper.c").write_text(_WRAPPER)
    flags = [
        "-std=c99",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pedantic",
        "-Wno-unused-function",
        "-shared",
        "-fPIC",
        f"-I{_C}",
    ]
    done = subprocess.run(
        [compiler, *flags, *defined, str(folder / "wrapper.c"), "-lm", "-o", str(folder / "wrapper.so")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = ctypes.CDLL(str(folder / "wrapper.so"))
    loaded.cut.restype = ctypes.c_size_t
    loaded.cut.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t]
    loaded.choose.argtypes = [ctypes.c_size_t, ctypes.c_int32]
    loaded.tag.restype = ctypes.c_char_p
    return loaded


@given(raw=_BYTES, limit=st.integers(4, 40))
def test_c_cuts_as_python_does(library: ctypes.CDLL, raw: bytes, limit: int) -> None:
    assert library.cut(raw, len(raw), limit) == len(cut_text(raw, limit))


@given(raw=_BYTES, limit=st.integers(4, 40))
def test_the_oracle_cuts_as_python_does(raw: bytes, limit: int) -> None:
    host = object.__new__(Host)
    host.cut = True
    if len(raw) > limit:
        assert host._prefix(raw, limit) == len(cut_text(raw, limit))


@given(words=st.lists(st.tuples(_PIECES, st.integers(0, len(_TAGS) - 1)), max_size=12))
def test_c_reads_slots_as_python_does(library: ctypes.CDLL, words: Sequence[tuple[bytes, int]]) -> None:
    tags = [tag for _, tag in words]
    raw = b" ".join(word for word, _ in words)  # a space begins a character whatever stands before it
    numbers = np.array(tags, np.int32)
    ends = np.cumsum([len(word) + 1 for word, _ in words], dtype=np.int32) - 1
    spans = (
        np.stack([ends - [len(word) for word, _ in words], ends], 1).astype(np.int32)
        if words
        else np.zeros((0, 2), np.int32)
    )
    found = np.zeros((len(tags) + 1, 3), np.int32)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (numbers, spans, found)]
    count = library.slots(raw, pointers[0], pointers[1], len(tags), pointers[2])
    expected = [(run.label, *place_run(run, raw, spans.tolist())) for run in TagScheme(_TAGS).spans(tags)]
    assert [(split_tag(_TAGS[label])[2], start, end) for label, start, end in found[:count].tolist()] == expected


def _arrays(intent: Sequence[float], rows: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the words' tags, and of the intents."""
    return np.array(rows, np.float32).reshape(-1, len(_TAGS)), np.array(intent, np.float32)


def _decide(
    library: ctypes.CDLL, scores: np.ndarray, logits: np.ndarray, any_: bool = False, plain: bool = False
) -> tuple[int, list[int]]:
    """What C decides: the intent, and each word's tag."""
    tags = np.zeros(len(logits), np.int32)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (scores, logits, tags)]
    best = library.decide(pointers[0], pointers[1], len(logits), pointers[2], any_, plain)
    return best, tags.tolist()


# Few values, so that sums are often equal, and the largest logits often make no sense together.
_LOGITS = st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0])


@given(
    intent=st.lists(_LOGITS, min_size=3, max_size=3),
    rows=st.lists(st.lists(_LOGITS, min_size=len(_TAGS), max_size=len(_TAGS)), max_size=6),
    any_=st.booleans(),
    plain=st.booleans(),
)
def test_c_decides_as_python_does(
    library: ctypes.CDLL, intent: Sequence[float], rows: Sequence[Sequence[float]], any_: bool, plain: bool
) -> None:
    logits, scores = _arrays(intent, rows)
    said = _decide(library, scores, logits, any_, plain)
    frames = Frames(TagScheme(_TAGS), () if any_ else _FRAMES, () if plain else _COUNTS)
    assert said == frames.decide(scores, logits)


@given(
    intent=st.lists(_LOGITS, min_size=3, max_size=3),
    rows=st.lists(st.lists(_LOGITS, min_size=len(_TAGS), max_size=len(_TAGS)), max_size=6),
    any_=st.booleans(),
    plain=st.booleans(),
)
def test_c_stops_searching_where_python_does(
    limited: tuple[ctypes.CDLL, int],
    intent: Sequence[float],
    rows: Sequence[Sequence[float]],
    any_: bool,
    plain: bool,
) -> None:
    library, budget = limited
    logits, scores = _arrays(intent, rows)
    said = _decide(library, scores, logits, any_, plain)
    frames = Frames(TagScheme(_TAGS), () if any_ else _FRAMES, () if plain else _COUNTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_limits, "BUDGET", budget)
        assert said == frames.decide(scores, logits)


@given(
    intent=st.lists(_LOGITS, min_size=3, max_size=3),
    rows=st.lists(st.lists(_LOGITS, min_size=len(_TAGS), max_size=len(_TAGS)), max_size=6),
)
def test_c_weighs_as_python_does(
    weighed: tuple[ctypes.CDLL, FrameWeights], intent: Sequence[float], rows: Sequence[Sequence[float]]
) -> None:
    library, weights = weighed
    logits, scores = _arrays(intent, rows)
    said = _decide(library, scores, logits)
    frames = Frames(TagScheme(_TAGS), _FRAMES, _COUNTS, weights)
    assert said == frames.decide(scores, logits)


def test_both_have_the_same_budget() -> None:
    header = (_C / "decode.h").read_text(encoding="utf-8")
    assert f"#define PQRNN_BUDGET {search_limits.BUDGET}\n" in header
    assert f"#define PQRNN_SLACK {search_limits.SLACK:.0e}".replace("e-0", "e-") in header


@given(
    intent=st.lists(_LOGITS, min_size=3, max_size=3),
    rows=st.lists(st.lists(_LOGITS, min_size=len(_TAGS), max_size=len(_TAGS)), max_size=6),
)
def test_c_decides_as_python_does_where_no_slots_were_counted(
    counts_without_slots: tuple[ctypes.CDLL, list[list[list[int]]]],
    intent: Sequence[float],
    rows: Sequence[Sequence[float]],
) -> None:
    library, counts = counts_without_slots
    logits, scores = _arrays(intent, rows)
    said = _decide(library, scores, logits)
    assert said == Frames(TagScheme(_TAGS), _FRAMES, counts).decide(scores, logits)


@pytest.mark.parametrize(
    ("size", "words", "bucket"), [(0, 0, 0), (64, 8, 0), (65, 1, 1), (10, 9, 1), (128, 16, 1), (10, 99, 1)]
)
def test_c_chooses_the_smallest_bucket(library: ctypes.CDLL, size: int, words: int, bucket: int) -> None:
    assert library.choose(size, words) == bucket


def test_labels_survive_as_c_strings(library: ctypes.CDLL) -> None:
    assert [library.tag(number).decode() for number in range(len(_TAGS))] == _TAGS
