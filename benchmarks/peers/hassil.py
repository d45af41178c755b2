"""Home Assistant's own matching of sentences, `hassil`, as a program that answers texts; nothing of ours is loaded.

    python -m benchmarks.peers.hassil < request.json > answers.json

The request has the merged sentences, the lists of a home, and the texts. An answer is the label of an intent with the
texts of its slots, or null.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

_AREA = "somewhere"  # where a satellite stands: without it, sentences that name no area would not count


def load(sentences: dict[str, Any], lists: dict[str, Any]) -> Any:
    """Return a function that answers a text as Home Assistant asks for it."""
    from hassil.intents import Intents
    from hassil.recognize import recognize_best

    known = {name: content for name, content in lists.items() if name not in sentences.get("lists", {})}
    intents = Intents.from_dict({**sentences, "lists": {**sentences.get("lists", {}), **known}})

    def answer(text: str) -> tuple[str, dict[str, str]] | None:
        result = recognize_best(
            text,
            intents,
            skip_words=intents.skip_words,
            intent_context={"area": _AREA},
            language=intents.language,
            best_slot_name="name",
        )
        if result is None:
            return None
        fixed = {key: value for key, value in result.intent_data.slots.items() if isinstance(value, str | int | float)}
        pairs = ",".join(f"{key}={fixed[key]}" for key in sorted(fixed))
        slots = {each.name: each.text.strip() for each in result.entities_list if each.text.strip()}
        return result.intent.name + (f"({pairs})" if pairs else ""), slots

    return answer


def peak_memory() -> int:
    """Return the most memory that this process held, in bytes."""
    return int(Path("/proc/self/status").read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]) << 10


def main() -> None:
    """Answer the texts of a request, and tell how long each took."""
    request = json.load(sys.stdin)
    answer = load(request["sentences"], request["lists"])
    answer(request["texts"][0])
    answers, seconds = [], []
    for text in request["texts"]:
        start = time.process_time()
        answers.append(answer(text))
        seconds.append(time.process_time() - start)
    json.dump({"answers": answers, "seconds": seconds, "memory": peak_memory()}, sys.stdout)


if __name__ == "__main__":
    main()
