"""A parser as a program that answers texts, beside `benchmarks.peers.hassil` and in its form.

python -m benchmarks.peers.parser_texts < request.json > answers.json
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main() -> None:
    """Answer the texts of a request, and tell how long each took."""
    from runtime_py.parser import Parser

    request = json.load(sys.stdin)
    answers, seconds = [], []
    with Parser.load(request["package"], on_long="truncate") as parser:
        parser.warmup()
        for text in request["texts"]:
            start = time.process_time()
            parse = parser(text)
            seconds.append(time.process_time() - start)
            answers.append((parse.intent, parse.score, {slot.label: slot.text for slot in parse.slots}))
    status = Path("/proc/self/status").read_text(encoding="ascii")
    memory = int(status.partition("VmHWM:")[2].split()[0]) << 10
    json.dump({"answers": answers, "seconds": seconds, "memory": memory}, sys.stdout)


if __name__ == "__main__":
    main()
