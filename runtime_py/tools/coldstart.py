"""The cost of a first start, measured in a fresh process.

``python -m runtime_py.tools.coldstart PACKAGE [VARIANT] [THREADS]`` prints one line of JSON. Nothing is imported at the
top but what Python itself has loaded, since the imports are part of what is measured.
"""

import sys
import time


def main(arguments: list[str]) -> int:
    """Import, load, parse twice, and write the times in seconds and the memory in bytes to standard output."""
    path, variant, threads = (
        arguments[0],
        arguments[1] if len(arguments) > 1 else "",
        int(arguments[2]) if len(arguments) > 2 else 1,
    )
    start = time.perf_counter()
    from runtime_py.parser import Parser

    imported = time.perf_counter()
    from runtime_py.tools.memory import peak_bytes, resident_bytes

    before = resident_bytes()
    begin = time.perf_counter()
    parser = Parser.load(path, variant=variant or None, threads=threads)
    loaded = time.perf_counter()
    text = "wake me at seven"
    parser(text)
    first = time.perf_counter()
    parser(text)
    second = time.perf_counter()
    parser.warmup()

    import json

    figures = {
        "import_seconds": imported - start,
        "load_seconds": loaded - begin,
        "first_call_seconds": first - loaded,
        "second_call_seconds": second - first,
        "resident_before_load": before,
        "resident_warm": resident_bytes(),
        "peak": peak_bytes(),
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
