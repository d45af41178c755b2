"""What importing `compile` costs."""

from __future__ import annotations

import subprocess
import sys


def test_the_pipeline_loads_no_pytorch_until_it_runs() -> None:
    code = (
        "import sys, compile.pipeline\n"
        "print([n for n in ('torch', 'iree.turbine', 'iree.compiler', 'onnxruntime') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
