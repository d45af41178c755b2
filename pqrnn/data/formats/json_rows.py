"""One JSON object that is one utterance: what our JSON lines, JSON arrays and tables share.

Beside our own keys it may have the spans of others, which say the same: ``entities`` as Rasa and Hugging Face write
them, or ``spans``; or ``tokens`` and ``tags`` instead of a text. A key that looks like one of ours is refused, for what
it says would be lost; others are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.formats.base import Row, check_slot, check_text, read_split, read_string, show, suggest_key
from pqrnn.data.formats.tokens import join_tokens
from pqrnn.data.locales import normalise_locale
from pqrnn.data.textfile import TextFile

KEYS = ("text", "intent", "slots", "locale", "split")
EXPECTED = 'an object with "text", "intent" and, where there are any, "slots"'
_SLOT_EXPECTED = 'slots as [{"start": 0, "end": 4, "label": "name"}, ...], in code points'
_TOKENS_EXPECTED = '"tokens" as a list of words, and "tags" or "ner_tags" as a list of O, B-label or I-label for each'
_TAG_KEYS = ("tags", "ner_tags", "slots", "labels")
_SPAN_KEYS = ("entities", "spans")
_SPAN_LABELS = ("label", "entity", "slot", "slot_name", "entity_group", "type", "tag", "name")
_ALIASES = tuple(
    {
        **dict.fromkeys(("utterance", "utt", "query", "sentence", "utterances", "texts"), "text"),
        **dict.fromkeys(("intent_name", "intent_label", "intents"), "intent"),
        **dict.fromkeys(
            ("slot", "entity", "entities", "span", "spans", "label", "labels", "tags", "ner_tags"), "slots"
        ),
        **dict.fromkeys(("language", "lang", "locales", "languages", "language_code", "lang_code"), "locale"),
        **dict.fromkeys(("partition", "splits", "subset", "fold"), "split"),
    }.items()
)
_KNOWN = frozenset((*KEYS, *_SPAN_KEYS))


def read_object(file: TextFile, number: int, row: Mapping[str, Any]) -> Row:
    """Return the utterance of one object, or raise."""
    text_key, intent_key = file.options.text_column or "text", file.options.intent_column or "intent"
    if text_key not in row and "tokens" in row:
        row = _join_tokens(file, number, row, text_key)
    named = text_key != "text" or intent_key != "intent"
    expected = f'an object with "{text_key}" and "{intent_key}", as the options name them' if named else EXPECTED
    text = read_string(file, number, row, text_key, expected)
    intent = read_string(file, number, row, intent_key, expected)
    check_text(file, number, text)
    spans = row.get("slots")
    if not row.keys() <= _KNOWN or not _KNOWN.isdisjoint(row.keys() - KEYS):
        spans = _read_other_keys(file, number, row, {text_key, intent_key})
    slots = tuple(_read_slot(file, number, text, each) for each in _read_list(file, number, spans))
    locale = read_string(file, number, row, "locale", expected) if row.get("locale") else ""
    example = Example(text, intent, slots, normalise_locale(locale) or file.locale, file.locate(number))
    return Row(example, read_split(file, number, row.get("split")))


def _join_tokens(file: TextFile, number: int, row: Mapping[str, Any], text_key: str) -> dict[str, Any]:
    """Return a row of words with a tag each, as Hugging Face has them, as one with a text and slots."""
    words = row["tokens"]
    name = next((key for key in _TAG_KEYS if key in row), "")
    tags = row[name] if name else []
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise file.error(number, f"tokens {show(words)}", _TOKENS_EXPECTED)
    if (
        not isinstance(tags, list)
        or not all(isinstance(tag, str) for tag in tags)
        or (name and len(tags) != len(words))
    ):
        hint = "write the names of the tags instead of their numbers" if isinstance(tags, list) else ""
        raise file.error(number, f"{name} {show(tags)} for {len(words)} tokens", _TOKENS_EXPECTED, hint)
    text, slots = join_tokens(file, [number] * len(tags), words, tags) if name else (" ".join(words), ())
    rest = {key: value for key, value in row.items() if key not in ("tokens", name)}
    written = [{"start": slot.start, "end": slot.end, "label": slot.label} for slot in slots]
    return {**rest, text_key: text, "slots": written}


def _read_other_keys(file: TextFile, number: int, row: Mapping[str, Any], named: set[str]) -> Any:
    """Return the slots, under whichever key they stand; count keys that mean nothing, refuse those that might."""
    others = []
    spans, holder = row.get("slots"), "slots"
    for key in row:
        if key in KEYS or key in named:
            continue
        if key in _SPAN_KEYS and _is_list_of_spans(row[key]):
            if spans and row[key]:
                raise file.error(number, f"both {holder!r} and {key!r}", "one list of slots", "leave one of them out")
            if row[key]:
                spans, holder = [_convert_span(each) for each in row[key]], key
            continue
        meant = suggest_key(key, KEYS, _ALIASES)
        # What is empty loses nothing, and what stands beside the key that is meant is something else.
        if meant and meant not in row and row[key] not in (None, "", [], {}):
            expected = ", ".join(map(repr, KEYS))
            raise file.error(
                number, f"the key {key!r} (did you mean {meant!r}?)", f"keys {expected}", _explain(key, meant)
            )
        others.append(key)
    if others:
        file.count_keys(others)
    return spans


def _explain(key: str, meant: str) -> str:
    if meant == "slots":
        return f"rename it, with {_SLOT_EXPECTED}; or leave it out if it is none of ours"
    if meant in ("text", "intent"):
        return f"rename it, or say --{meant}-column {key}"
    return "rename it, or leave it out if it is none of ours"


def _is_list_of_spans(value: object) -> bool:
    """Say whether a value has the spans of Rasa and Hugging Face (objects) or of spaCy (start, end, label)."""
    return isinstance(value, list) and all(
        (
            isinstance(each, dict)
            and {"start", "end"} <= each.keys()
            and any(isinstance(each.get(key), str) for key in _SPAN_LABELS)
        )
        or (isinstance(each, list) and len(each) == 3 and [type(part) for part in each] == [int, int, str])
        for each in value
    )


def _convert_span(span: Any) -> dict[str, Any]:
    """Return a span as one of our slots; a ``value`` may be another spelling, so it says nothing about the text."""
    if isinstance(span, list):
        return {"start": span[0], "end": span[1], "label": span[2]}
    label = next(span[key] for key in _SPAN_LABELS if isinstance(span.get(key), str))
    role = span.get("role")
    return {
        "start": span["start"],
        "end": span["end"],
        "label": f"{label}.{role}" if isinstance(role, str) and role else label,
        "text": span.get("text"),
    }


def _read_list(file: TextFile, number: int, value: object) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise file.error(number, f'"slots" is {show(value)}', _SLOT_EXPECTED)
    return value


def _read_slot(file: TextFile, number: int, text: str, value: object) -> SlotSpan:
    if not isinstance(value, dict):
        raise file.error(number, f"slot {show(value)}", _SLOT_EXPECTED)
    start, end, label = value.get("start"), value.get("end"), value.get("label")
    if type(start) is not int or type(end) is not int or not isinstance(label, str):
        raise file.error(number, f"slot {show(value)}", _SLOT_EXPECTED)
    slot = SlotSpan(label, start, end)
    check_slot(file, number, text, slot)
    said = value.get("text")
    if said is not None and said != text[start:end]:
        found = f"slot {label!r} says {show(said)}, but {text[start:end]!r} stands from {start} to {end}"
        raise file.error(number, found, "the same text", "offsets count Unicode code points, not bytes or UTF-16 units")
    return slot
