"""Rows of the comparison with ONNX Runtime Web: the best form of each precision is what we are measured by."""

from __future__ import annotations

from benchmarks.web import make_rows


def test_each_precision_is_held_against_its_best_form() -> None:
    times = {
        "ours": 100.0,
        "ONNX Runtime, loop": 500.0,
        "ONNX Runtime, scan": 400.0,
        "ONNX Runtime int8, loop": 300.0,
        "ONNX Runtime int8, scan, channels": 200.0,
    }
    real, integers = make_rows("mtop-en, webassembly", "Node 20.1", times, 7, "1.2.3")
    assert (real.value, integers.value) == (0.25, 0.5)
    assert real.metric == "8 words in Node against ONNX Runtime Web"
    assert integers.metric == "8 words in Node against ONNX Runtime Web int8"
    assert "(scan)" in real.note
    assert "(scan, channels)" in integers.note
    assert "1.2.3" in integers.note and integers.note.endswith("Node 20.1")
    assert {row.n for row in (real, integers)} == {7}
