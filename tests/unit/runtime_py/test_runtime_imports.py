"""The runtime is small: what it imports, and how long that takes."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
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
# What the extras of the services bring, which no other module imports.
OF_SERVICES = {"starlette", "anyio", "idna", "sniffio", "prometheus_client", "wyoming"}

SCRIPT = """
import json, sys, time
before = set(sys.modules)
start = time.process_time()
{statement}
seconds = time.process_time() - start
print(json.dumps([seconds, sorted(set(sys.modules) - before)]))
"""
# Each module is imported in a process of its own. These are forked from one that has the base install already, because
# that takes longer than all the rest; a module that brought something of its own would be seen all the same.
SCRIPT_OF_MODULES = """
import json, os, sys
before = set(sys.modules)
import iree.runtime, msgspec, numpy
for module in sys.argv[1:]:
    if not os.fork():
        __import__(module)
        print(json.dumps([module, sorted(set(sys.modules) - before)]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, module
"""


def run_script(script: str, *arguments: str) -> str:
    """Run a script in a new process, and return what it prints."""
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def packages_of(modules: Iterable[str]) -> set[str]:
    """Return the top-level packages that do not come with Python."""
    return {name.split(".")[0] for name in modules} - sys.stdlib_module_names - {"__mp_main__"}


def fresh_import(statement: str) -> tuple[float, set[str]]:
    """Run a statement in a new process.

    Returned are its seconds on the processor and the top-level packages from outside the standard library.
    """
    seconds, modules = json.loads(run_script(SCRIPT.format(statement=statement)))
    return seconds, packages_of(modules)


@pytest.fixture(scope="module")
def packages_by_module() -> dict[str, set[str]]:
    """What is loaded, by the module that is imported alone."""
    lines = map(json.loads, run_script(SCRIPT_OF_MODULES, *MODULES).splitlines())
    return {module: packages_of(loaded) for module, loaded in lines}


@pytest.mark.parametrize("module", MODULES)
def test_no_module_pulls_in_more_than_the_base_install(module: str, packages_by_module: dict[str, set[str]]) -> None:
    packages = packages_by_module[module]
    assert "runtime_py" in packages
    assert not packages & FORBIDDEN
    services = OF_SERVICES if module.startswith("runtime_py.service.") else set()
    assert packages - ALLOWED - services <= {"typing_extensions"}


def test_everything_public_is_imported_in_a_third_of_a_second(record_property: Callable[[str, object], None]) -> None:
    # Seconds on the processor, and the least of five: other processes can only add to either.
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
