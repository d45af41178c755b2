"""Intents that carry slots of their own, as Home Assistant's do: ``HassTurnOn(domain=light)``."""

import re
from collections.abc import Mapping

_FORM = re.compile(r"(?P<name>[^()=,\s]+)\((?P<slots>[^()=,\s]+=[^()=,]*(?:,[^()=,\s]+=[^()=,]*)*)\)")
_RESERVED = re.compile(r"[()=,]")


def join_intent(name: str, slots: Mapping[str, object]) -> str:
    """Return the label of an intent with slots that no word of the text fills, in the order of their names."""
    if not slots:
        return name
    pairs = (f"{key}={_RESERVED.sub(' ', str(slots[key]))}" for key in sorted(slots))
    return f"{name}({','.join(pairs)})"


def split_intent(label: str) -> tuple[str, dict[str, str]]:
    """Take such a label apart; one of another form is a name without slots."""
    match = _FORM.fullmatch(label)
    if match is None:
        return label, {}
    pairs = (pair.partition("=") for pair in match["slots"].split(","))
    return match["name"], {key: value for key, _, value in pairs}
