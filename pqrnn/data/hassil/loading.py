"""Home Assistant's sentences as a data set."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.grammar import Grammar, GrammarError, SplitName, split_of
from pqrnn.data.grammar.analysis import Analysis
from pqrnn.data.grammar.generator import Sentence
from pqrnn.data.grammar.nodes import Choice, Node, Text
from pqrnn.data.grammar.nodes import Sequence as NodeSequence
from pqrnn.data.grammar.splits import find_splits, split_key
from pqrnn.data.hassil.noise import CHANGES, Wording, change_sentence
from pqrnn.data.hassil.sources import SentenceFile, read_home, read_sources, require_hassil
from pqrnn.data.home import home_grammar_path
from pqrnn.data.locales import match_locale
from pqrnn.errors import DataFormatError, DataNotFoundError
from runtime_py.service.intent_names import join_intent

DEFAULT_SIZES: Mapping[SplitName, int] = MappingProxyType({"train": 20000, "dev": 1500, "test": 1500})
NONE = "none"
_NONE_SHARE = 0.1
_NOISE_SHARE = 0.4
_SKIPPED_SHARE = 0.25  # at each end of a sentence
_TRIES = 3
_SHORT = 3000  # sentences without slots that are looked for among what is no command
_WITHOUT_SPACES = frozenset({"th", "zh", "ja", "lo", "km", "my"})


class HassilData(NamedTuple):
    """Sentences that were read.

    Attributes:
        grammar: The sentences as templates.
        language: Their language.
        files: The files, in which names later win.
        merged: What they hold together.
        wording: The words that noise needs.
    """

    grammar: Grammar
    language: str
    files: list[SentenceFile]
    merged: dict[str, Any]
    wording: Wording


def load_hassil(spec: str) -> HassilData:
    """Read sentences.

    Args:
        spec: What stands behind ``hassil:`` (`pqrnn.data.hassil`).

    Raises:
        DataNotFoundError: There is no such language, file or folder.
        DataFormatError: A file is not of the form; it names the line.
        MissingExtraError: The libraries are not installed.
    """
    require_hassil()
    from hassil.util import merge_dict

    from pqrnn.data.hassil.conversion import Converter, Scope, UnusableError, convert_errors

    files, language = read_sources(spec)
    home = read_home(language)
    lists = dict(home.document["lists"]) if home else {}
    merged: dict[str, Any] = {}
    for file in files:
        merge_dict(merged, {key: value for key, value in file.document.items() if key != "intents"})
    converter = Converter(language, merged.get("expansion_rules") or {}, merged.get("lists") or {}, lists)
    skipped = tuple(map(str, merged.get("skip_words") or ()))
    sentences: list[Sentence] = []
    left_out: dict[str, None] = {}
    for file in files:
        for intent, block, number in _blocks(file):
            scope = _scope(block, f"@{file.name}:{intent}:{number}", Scope)
            label = join_intent(
                intent, {key: value for key, value in (block.get("slots") or {}).items() if _plain(value)}
            )
            for template in block["sentences"]:
                try:
                    node = converter.convert(template, scope)
                except UnusableError as error:
                    left_out[f"{intent}: {error}"] = None
                    continue
                except (ValueError, RecursionError) as error:
                    raise convert_errors(file, str(template), ValueError(str(error))) from error
                line = file.line_of(str(template))
                source = file.name if line is None else f"{file.name}:{line}"
                sentences.append(Sentence(label, template, _with_skipped(node, skipped), 1.0, source))
    analysis = Analysis(converter.definitions)
    kept = [sentence for sentence in sentences if not analysis.can_be_empty(sentence.node)]
    if not kept:
        raise DataNotFoundError(f"hassil:{spec}: there are no sentences under `intents:`")
    left_out |= dict.fromkeys(f"{each.template!r}: can be empty" for each in sentences if each not in kept)
    grammar = Grammar(f"hassil:{spec}", language, _weighed(kept), converter.definitions, tuple(left_out))
    return HassilData(grammar, language, files, merged, _wording(home))


def load_hassil_examples(
    spec: str, split: str, locale: str | None = None, count: int | None = None, seed: int = 0, noise: bool = True
) -> list[Example]:
    """Draw one split of a data set from Home Assistant's sentences.

    Args:
        spec: What stands behind ``hassil:``; without it, the languages that are asked for.
        split: ``train``, ``dev`` or ``test``, or ``all`` for the three of them. No text is in two of them.
        locale: The languages that are asked for.
        count: How many examples in a split, or None for `DEFAULT_SIZES`.
        seed: The same seed gives the same examples on every machine.
        noise: Whether a share of ``train`` and ``dev`` is said otherwise (`pqrnn.data.hassil.noise`).

    Raises:
        DataNotFoundError: There are no such sentences, or they are of another language.
        DataFormatError: A file is not of the form.
        MissingExtraError: The libraries are not installed.
    """
    wanted = [name.strip() for name in (locale or "").split(",") if name.strip()]
    specs = [spec] if spec else wanted
    if not specs:
        raise DataNotFoundError("hassil: name a language, as in hassil:de, or a folder of sentences")
    examples: list[Example] = []
    for each in specs:
        data = load_hassil(each)
        if spec and wanted and not any(match_locale(name, data.language) for name in wanted):
            raise DataNotFoundError(f"hassil:{each}: the sentences are in {data.language!r}, not in {locale!r}")
        said = _recogniser(data)
        for part in find_splits(split):
            size = DEFAULT_SIZES[part] if count is None else count
            examples += _draw(data, said, part, size, seed, noise and part != "test")
    return examples


def _draw(
    data: HassilData, said: Callable[[str], bool], split: SplitName, size: int, seed: int, noise: bool
) -> list[Example]:
    refused = _nothing(data, said, split, round(size * _NONE_SHARE), seed)
    commands = data.grammar.sample(size - len(refused), seed, split=split)
    if data.language.partition("-")[0] not in _WITHOUT_SPACES:
        commands = [_to_whole_words(row) for row in commands]
    rows = [*commands, *refused]
    dice = random.Random(f"{seed} {split}")
    dice.shuffle(rows)
    if not noise:
        return rows
    seen = {row.text for row in rows}
    changes = list(CHANGES.values())
    for index, row in enumerate(rows):
        if row.intent == NONE or dice.random() >= _NOISE_SHARE:
            continue
        for _ in range(_TRIES):
            changed = change_sentence(row, dice.choice(changes), data.wording, dice)
            if changed is not None and changed.text not in seen and split_of(changed.text) == split:
                rows[index] = changed
                seen.add(changed.text)
                break
    return rows


def _to_whole_words(row: Example) -> Example:
    """Let slots end where words do: templates such as `des {area}s` write on, and a word has one label."""
    text, slots = row.text, []
    for slot in row.slots:
        start, end = slot.start, slot.end
        while start > 0 and text[start - 1].isalnum() and text[start].isalnum():
            start -= 1
        while end < len(text) and text[end].isalnum() and text[end - 1].isalnum():
            end += 1
        slots.append(SlotSpan(slot.label, start, end))
    if any(after.start < before.end for before, after in pairwise(slots)):
        return row
    return Example(text, row.intent, tuple(slots), row.locale, row.source)


def _nothing(data: HassilData, said: Callable[[str], bool], split: SplitName, size: int, seed: int) -> list[Example]:
    """Draw what is no command, from the built-in set of the language where there is one."""
    from pqrnn.data.grammar import load_grammar

    try:
        loaded = load_grammar(home_grammar_path(data.language))
    except GrammarError:
        return []
    grammar = Grammar(
        loaded.name,
        data.language,
        tuple(each for each in loaded.sentences if each.intent == NONE),
        loaded.definitions,
    )
    drawn = grammar.sample(size + size // 4, seed, split=split)
    kept = [Example(row.text, NONE, (), row.locale, row.source) for row in drawn if not said(row.text)]
    return kept[:size]


def _recogniser(data: HassilData) -> Callable[[str], bool]:
    """Return what says whether short sentences of the data are a text, word for word."""
    analysis = Analysis(data.grammar.definitions)
    small = [
        each
        for each in data.grammar.sentences
        if analysis.count(each.node) <= 20_000 and not analysis.labels(each.node)
    ]
    short = Grammar(data.grammar.name, data.language, tuple(small), data.grammar.definitions)
    known = {split_key(example.text) for example in short.sample(_SHORT, 0)}
    return lambda text: split_key(text) in known


def _blocks(file: SentenceFile) -> list[tuple[str, dict[str, Any], int]]:
    """Return the blocks of sentences with the intents they stand under."""
    found = []
    for intent, content in (file.document.get("intents") or {}).items():
        data = content.get("data") if isinstance(content, dict) else None
        if not isinstance(data, list):
            raise DataFormatError(
                file.name, file.line_of(f"{intent}:"), f"the intent {intent!r} without `data:`", "a list of blocks"
            )
        for number, block in enumerate(data):
            if not isinstance(block, dict) or not isinstance(block.get("sentences"), list):
                raise DataFormatError(
                    file.name,
                    file.line_of(f"{intent}:"),
                    f"block {number + 1} of {intent!r} without `sentences:`",
                    "a list of sentences",
                )
            found.append((str(intent), block, number))
    return found


def _scope(block: dict[str, Any], name: str, kind: Any) -> Any:
    rules, lists = block.get("expansion_rules") or {}, block.get("lists") or {}
    needed = (block.get("requires_context") or {}).get("domain")
    domains = None if needed is None else (needed,) if isinstance(needed, str) else tuple(sorted(map(str, needed)))
    key = "" if domains is None else f"@{','.join(domains)}"
    return kind(key + (name if rules or lists else ""), rules, lists, domains)


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float)


def _with_skipped(node: Node, skipped: tuple[str, ...]) -> Node:
    """Return a sentence with a word before or behind it that Home Assistant skips."""
    if not skipped:
        return node
    each = _SKIPPED_SHARE / len(skipped)
    some = Choice((Text(""), *map(Text, skipped)), (1 - _SKIPPED_SHARE, *([each] * len(skipped))))
    return NodeSequence((some, Text(" "), node, Text(" "), some))


def _weighed(sentences: list[Sentence]) -> tuple[Sentence, ...]:
    """Return the sentences with weights under which an intent of many templates does not crowd the others out."""
    sizes: dict[str, int] = {}
    for sentence in sentences:
        sizes[sentence.intent] = sizes.get(sentence.intent, 0) + 1
    return tuple(
        Sentence(each.intent, each.template, each.node, sizes[each.intent] ** -0.5, each.source) for each in sentences
    )


def _wording(home: SentenceFile | None) -> Wording:
    document = home.document if home else {}
    return Wording(tuple(document.get("fillers", ())), frozenset(document.get("articles", ())))
