"""The runtime is small: what it imports, and how long that takes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "runtime_py").rglob("*.py")
    if path.stem not in ("__init__", "__main__")
)
FORBIDDEN = {
    "torch",
    "typer",
    "rich",
    "click",
    "pqrnn",
    "compile",
    "targets",
    "benchmarks",
    "transformers",
    "pydantic",
    "scipy",
    "sklearn",
    "matplotlib",
}
ALLOWED = {"numpy", "iree", "msgspec", "ml_dtypes", "runtime_py"}

SCRIPT = """
import json, sys, time
before = set(sys.modules)
start = time.perf_counter()
{statement}
seconds = time.perf_counter() - start
files = [(name, getattr(module, "__file__", None) or "") for name, module in sys.modules.items() if name not in before]
ours = {{name.split(".")[0] for name, file in files if "site-packages" in file or {root!r} in file}}
print(json.dumps([seconds, sorted(ours)]))
"""


def fresh_import(statement: str) -> tuple[float, set[str]]:
    """Run a statement in a new process.

    Returned are its seconds and the top-level packages from outside the standard library.
    """
    script = SCRIPT.format(statement=statement, root=str(ROOT))
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    seconds, packages = json.loads(output)
    return seconds, set(packages)


@pytest.mark.parametrize("module", MODULES)
def test_no_module_pulls_in_more_than_the_base_install(module: str) -> None:
    _, packages = fresh_import(f"import {module}")
    assert not packages & FORBIDDEN
    assert packages - ALLOWED <= {"typing_extensions"}


def test_everything_public_is_imported_in_a_third_of_a_second(record_property: Callable[[str, object], None]) -> None:
    # The least of five, since other processes can only add time.
    runs = [fresh_import("from runtime_py import Logits, Parse, Parser, ParserError, Slot")[0] for _ in range(5)]
    record_property("import_seconds", min(runs))
    assert min(runs) < 0.3


def test_decoding_alone_leaves_the_iree_runtime_out() -> None:
    _, packages = fresh_import("import runtime_py, runtime_py.decode.decoder, runtime_py.errors")
    assert "iree" not in packages


def test_the_public_names_exist() -> None:
    import runtime_py

    assert set(runtime_py.__all__) <= set(dir(runtime_py))
    assert all(getattr(runtime_py, name) is not None for name in runtime_py.__all__)
    with pytest.raises(AttributeError, match="Parsers"):
        _ = runtime_py.Parsers
