"""The C calibration of `runtime_py/c/calibration.h` against that of Python, on any logits."""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from makers.runtime_fakes import fake_manifest
from msgspec.structs import replace

from runtime_py.decode.calibration import (
    Calibration,
    RightModel,
    ScopeModel,
    SlotModel,
    Threshold,
    interpolate,
    judge,
    judge_slot,
    log_odds,
    log_probabilities,
    sigmoid,
)
from runtime_py.decode.labels import Labels
from runtime_py.package_format.file_entry import FileEntry
from runtime_py.tools.c_header import c_header

_C = Path(__file__).parents[4] / "runtime_py" / "c"
_LABELS = Labels(("a", "b", "c"), ("O", "B-x", "I-x", *(f"B-y{n}" for n in range(8))))  # more tags than C adds at once
_SUMMARY = (0.1, 0.2, 0.02, 0.3, -0.4, 0.5, 0.6)
_PLAIN = Calibration(
    temperature=0.7,
    right=RightModel(intent=0.5, tags=0.25, bias=-1.0),
    knots=((0.05, 0.01), (0.3, 0.2), (0.4, 0.6), (0.95, 0.99)),
    recommended=Threshold(of="score", least=0.4, kept=0.95),
    error=0.01,
    error_before=0.1,
)
_CALIBRATIONS = {
    "plain": _PLAIN,
    "slots": replace(_PLAIN, slots=SlotModel(tags=0.5, bias=-0.25), knots=((0.0, 0.0), (1.0, 1.0))),
    "scope": replace(
        _PLAIN,
        slots=SlotModel(tags=2.0, bias=0.0),
        scope=ScopeModel(summary=_SUMMARY, bias=-1.0),
        recommended=Threshold(of="in_scope", least=0.7, kept=0.95),
    ),
    "intents": replace(_PLAIN, scope=ScopeModel(summary=_SUMMARY, intents=(1.0, -1.0, 0.5), bias=0.125)),
}
_WRAPPER = """
#include "package.h"
double natural(double x) { return pqrnn_log(x); }
double power(double x) { return pqrnn_exp(x); }
double less_one(double x) { return pqrnn_expm1(x); }
double odds(double x) { return pqrnn_log_odds(x); }
double logistic(double x) { return pqrnn_sigmoid(x); }
double line(double x) { return pqrnn_interpolate(PQRNN_CALIBRATION, x); }
double least(int *of_scope) { *of_scope = PQRNN_CALIBRATION->recommends_scope; return PQRNN_CALIBRATION->least; }
void judged(const float *intent, const float *tags, int32_t words, int32_t best, const int32_t *chosen, double *said) {
  const pqrnn_outputs_t outputs = {intent, tags, 0, words};
  double logarithms[16];
  pqrnn_log_tags(&pqrnn_package, &outputs, chosen, words, logarithms);
  const pqrnn_confidence_t found = pqrnn_judge(&pqrnn_package, PQRNN_CALIBRATION, &outputs, best, logarithms, words);
  said[0] = found.score, said[1] = found.in_scope;
  for (int32_t start = 0; start < words; ++start)
    said[2 + start] = pqrnn_judge_slot(PQRNN_CALIBRATION, logarithms, words, start, start + 1 + start % 2);
}
"""
# Around what a parser says, and far beyond it.
_LOGITS = st.one_of(st.floats(-20, 20, width=32), st.floats(-1e4, 1e4, width=32))


@pytest.fixture(scope="module", params=_CALIBRATIONS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ctypes.CDLL, Calibration]:
    """The C functions with a calibration, and this."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: 'cc' is not on the PATH")
    folder, calibration = tmp_path_factory.mktemp("c"), _CALIBRATIONS[request.param]
    manifest = fake_manifest()
    files = {variant.path: FileEntry("0" * 64, 1) for variant in manifest.variants}
    header = c_header(replace(manifest, labels=_LABELS, files=files, calibration=calibration))
    (folder / "package.h").write_text(header, encoding="utf-8")
    (folder / "wrapper.c").write_text(_WRAPPER)
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wno-unused-function", "-shared", "-fPIC"]
    command = ["cc", *flags, f"-I{_C}", "wrapper.c", "-o", "wrapper.so"]  # and no -lm: it needs none
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    library = ctypes.CDLL(str(folder / "wrapper.so"))
    for name in ("natural", "power", "less_one", "odds", "logistic", "line"):
        getattr(library, name).restype, getattr(library, name).argtypes = ctypes.c_double, [ctypes.c_double]
    library.least.restype = ctypes.c_double
    return library, calibration


def _said(
    library: ctypes.CDLL, intent: np.ndarray, tags: np.ndarray, best: int, chosen: list[int]
) -> tuple[float, float, list[float]]:
    numbers, said = np.array(chosen, np.int32), (ctypes.c_double * (2 + len(tags)))()
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (intent, tags, numbers)]
    library.judged(pointers[0], pointers[1], len(tags), best, pointers[2], said)
    return said[0], said[1], list(said[2:])


@given(data=st.data())
def test_c_judges_as_python_does(built: tuple[ctypes.CDLL, Calibration], data: st.DataObject) -> None:
    library, calibration = built
    intent = data.draw(arrays.arrays(np.float32, 3, elements=_LOGITS))
    words = data.draw(st.integers(0, 5) | st.just(16))
    tags = data.draw(arrays.arrays(np.float32, (words, len(_LABELS.tags)), elements=_LOGITS))
    if data.draw(st.booleans()):  # what was chosen is nearly always the largest
        best, chosen = int(intent.argmax()), [int(row.argmax()) for row in tags]
    else:
        best, chosen = data.draw(st.integers(0, 2)), [data.draw(st.integers(0, 10)) for _ in tags]
    score, in_scope, slots = _said(library, intent, tags, best, chosen)
    logarithms = log_probabilities(intent, tags, best, chosen)
    wanted = judge(calibration, intent, logarithms)
    assert score == pytest.approx(wanted.score, rel=1e-6, abs=1e-300)
    assert in_scope == (-1 if wanted.in_scope is None else pytest.approx(wanted.in_scope, rel=1e-6, abs=1e-300))
    expected = [judge_slot(calibration.slots, logarithms.tags, at, at + 1 + at % 2) for at in range(words)]
    assert slots == pytest.approx(expected, rel=1e-6, abs=1e-300)


def test_functions_are_those_of_a_mathematics_library(built: tuple[ctypes.CDLL, Calibration]) -> None:
    library, calibration = built
    for x in (*np.linspace(-700, 0, 501), *np.geomspace(1e-12, 700, 200), *-np.geomspace(1e-12, 700, 200)):
        assert library.power(x) == pytest.approx(math.exp(x), rel=1e-13)
        assert library.less_one(-abs(x)) == pytest.approx(math.expm1(-abs(x)), rel=1e-13)
        assert library.logistic(x) == pytest.approx(sigmoid(x), rel=1e-12)
        assert library.odds(-abs(x)) == pytest.approx(log_odds(-abs(x)), rel=1e-9)
    for x in (*np.geomspace(1e-300, 1e300, 500), *np.linspace(0.5, 2, 301)):
        assert library.natural(x) == pytest.approx(math.log(x), rel=1e-14, abs=1e-300)
    for x in (*np.linspace(0, 1, 200), *(knot[0] for knot in calibration.knots)):
        assert library.line(x) == pytest.approx(interpolate(calibration.knots, x), rel=1e-12)
    assert (library.odds(0.0), library.odds(1e-9), library.odds(-math.inf)) == (15, 15, -15)
    assert (library.logistic(-1e9), library.logistic(1e9)) == (0, 1)
    of_scope = ctypes.c_int()
    assert library.least(ctypes.byref(of_scope)) == calibration.recommended.least
    assert of_scope.value == (calibration.recommended.of == "in_scope")
    for name in ("natural", "power", "less_one", "odds", "logistic", "line"):
        assert math.isnan(getattr(library, name)(math.nan)), name


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_what_is_not_finite_gives_no_score(built: tuple[ctypes.CDLL, Calibration], wrong: float) -> None:
    intent, tags = np.zeros(3, np.float32), np.zeros((2, len(_LABELS.tags)), np.float32)
    broken = intent.copy()
    broken[0] = wrong
    assert math.isnan(_said(built[0], broken, tags, 0, [0, 0])[0])
    tags[1, 0] = wrong
    assert math.isnan(_said(built[0], intent, tags, 0, [0, 0])[0])
