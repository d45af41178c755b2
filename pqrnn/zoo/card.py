"""The card of a parser in the zoo.

It says what people should know before they use the parser, and is made from the checkpoint and from kept results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from pqrnn.checkpoint import Facts
from pqrnn.evaluation.results import ResultRow
from pqrnn.recipes.settings import ModelConfig
from pqrnn.run_folder import WEIGHTS
from pqrnn.zoo.data_sets import DataSet
from pqrnn.zoo.shelf import ZooEntry
from runtime_py.decode.calibration import Calibration
from runtime_py.decode.tags import TagScheme

_SHARES = ("exact match", "intent accuracy", "slot f1", "retention", "in-scope", "out-of-scope AUROC")
SCORES, DATA = "Scores", "Data and licence"
_HIDDEN = ("settings", "teachers", "distillation")


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """What no file says.

    Attributes:
        summary: What the parser is for, in one line.
        teacher: What taught it, in words; "" for nothing.
        commands: Commands that made it, in order.
    """

    summary: str
    teacher: str = ""
    commands: tuple[str, ...] = ()


def render_card(entry: ZooEntry, facts: Facts[ModelConfig], sets: Mapping[str, DataSet], story: Story) -> str:
    """Return the card as Markdown.

    Args:
        entry: Entry of the zoo, from which every figure is taken.
        facts: Facts of its checkpoint.
        sets: The data sets that it learned from.
        story: What only people know of it.
    """
    parts = [
        f"# {entry.name}\n\n{entry.summary}\n",
        f'    pqrnn parse {entry.name} "..."\n',
        _section("What it is", _describe(entry, facts)),
        _section("Numbers", _numbers(entry, facts)),
        *([_section(SCORES, describe_scores(facts.calibration))] if facts.calibration is not None else []),
        _section(DATA, _data(entry, sets)),
        _section("Teacher", _teacher(facts, story)),
        _section("How it was made", _recipe(facts, story)),
        _section("Use and limits", _limits(entry, facts)),
    ]
    return "\n".join(parts)


def describe_scores(calibration: Calibration) -> str:
    """Return what the scores of a parser mean, as the card says it."""
    threshold = calibration.recommended
    rows = [
        ("utterances that it was fitted on", f"{calibration.utterances:,}"),
        ("texts out of scope", f"{calibration.out_of_scope:,}"),
        ("expected calibration error of the softmax", f"{100 * calibration.error_before:.2f} points"),
        ("the same of the score", f"{100 * calibration.error:.2f} points"),
        ("recommended threshold", f"{threshold.of.replace('_', ' ')} of {threshold.least:.3f}"),
        ("in scope kept by it", f"{threshold.kept:.1%}"),
        *([("out of scope refused by it", f"{threshold.refused:.1%}")] if threshold.refused is not None else []),
    ]
    return (
        "A score is the probability that a text is in scope and its parse right, fitted on the development split "
        "(`pqrnn calibrate`); the figures are of utterances that each fit had not seen. `--min-score recommended` "
        f"rejects what does not reach the threshold.\n\n{_table(('figure', 'value'), rows)}"
    )


def update_scores(card: str, entry: ZooEntry, calibration: Calibration, sources: Sequence[str]) -> str:
    """Return a card with what is said of scores, and of the bytes of files, in the place of what was said before."""
    body = describe_scores(calibration)
    if sources:
        body += f"\nTexts out of scope that it was fitted on: {'; '.join(sources)}.\n"
    before, _, rest = card.partition(f"## {SCORES}\n")
    if not rest:
        before, _, rest = card.partition(f"## {DATA}\n")
        rest = f"## {DATA}\n{rest}"
    else:
        rest = rest[rest.index("\n## ") + 1 :]
    before = re.sub(r"(?m)^\| bytes \|.*$", f"| bytes | {_bytes(entry)} |", before)
    return f"{before}{_section(SCORES, body)}\n{rest}"


def _bytes(entry: ZooEntry) -> str:
    return f"{entry.bytes:,}: " + ", ".join(f"{name} {each.bytes:,}" for name, each in entry.files.items())


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body.rstrip()}\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, ["---"] * len(head), *rows))


def _describe(entry: ZooEntry, facts: Facts[ModelConfig]) -> str:
    labels = facts.labels
    rows = [
        ("languages", ", ".join(entry.languages)),
        ("intents", str(len(labels.intents))),
        ("slots", str(len(TagScheme(labels.tags).slots))),
        ("weights", f"{entry.parameters:,} numbers, {entry.precision}"),
        ("bytes", _bytes(entry)),
        ("SHA-256 of the weights", entry.files[WEIGHTS].sha256),
        ("trained at revision", entry.revision),
    ]
    return _table(("", ""), rows)


def _numbers(entry: ZooEntry, facts: Facts[ModelConfig]) -> str:
    dev = facts.metrics.get("dev", {})
    rows = [
        (
            "development split",
            name.replace("_", " "),
            _share(each["value"], each["low"], each["high"]),
            f"{each['n']:,.0f}",
        )
        for name, each in dev.items()
    ]
    rows += [(each.work, each.metric, _value(each), "" if each.n is None else f"{each.n:,}") for each in entry.figures]
    text = (
        "Everything was selected on the development split. "
        "The interval is a 95 % bootstrap interval over utterances.\n\n"
    )
    if not entry.figures:
        text = "No test results are kept with this parser: these figures are of the split that it was selected on.\n\n"
    return text + _table(("work", "figure", "value", "utterances"), rows)


def _value(figure: ResultRow) -> str:
    if figure.metric.startswith(_SHARES):
        return _share(figure.value, figure.low, figure.high)
    return f"{figure.value:,.0f}" if figure.value == int(figure.value) else f"{figure.value:.6g}"


def _share(value: float, low: float | None, high: float | None) -> str:
    interval = f" [{low:.2%}, {high:.2%}]" if low is not None and high is not None else ""
    return f"{value:.2%}{interval}"


def _data(entry: ZooEntry, sets: Mapping[str, DataSet]) -> str:
    lines = [
        f"- {each.title}: {each.about}. Licence: {each.licence}.{f' {each.link}' if each.link else ''}\n"
        for each in sets.values()
    ]
    return (
        f"The weights are derived from these data and are licensed under **{entry.licence}**; the code of pqrnn is "
        f"not concerned.\n\n{''.join(lines)}\n"
        "No utterance of a data set is in these files: the texts that compiled code is checked with are generated by "
        "pqrnn's own grammar."
        " The names of intents and slots, and how long training texts are, come from the data.\n"
    )


def _teacher(facts: Facts[ModelConfig], story: Story) -> str:
    named = facts.training.get("teachers", [])
    told = f"{story.teacher.rstrip('.')}." if story.teacher else "" if named else "None: it learned from labels alone."
    listed = f" Runs that taught it: {', '.join(map(str, named))}." if named else ""
    return f"{told}{listed}".strip()


def _recipe(facts: Facts[ModelConfig], story: Story) -> str:
    commands = "".join(f"    {command}\n" for command in story.commands)
    lessons = {f"distillation: {key}": value for key, value in facts.training.get("distillation", {}).items()}
    settings = {key: value for key, value in facts.training.items() if key not in _HIDDEN} | lessons
    rows = [
        (key.replace("_", " "), str(value)) for key, value in settings.items() if not isinstance(value, dict | list)
    ]
    data = [(f"data: {key}", str(value)) for key, value in facts.data.items() if value]
    shape = msgspec.json.encode(facts.config).decode()
    return f"{commands}\n{_table(('setting', 'value'), [*rows, *data])}\nShape: `{shape}`\n"


def _limits(entry: ZooEntry, facts: Facts[ModelConfig]) -> str:
    longest = max(words for words, _, _ in facts.lengths)
    out = [
        name
        for name in facts.labels.intents
        if name.lower().removeprefix("in:") in ("oos", "out_of_scope", "unsupported", "none")
    ]
    scope = (
        f"It may answer {', '.join(out)}."
        if out
        else "It answers one of its intents whatever it is told: there is none for what is out of scope."
    )
    return (
        f"Meant for short commands and questions of the kinds that its data hold ({', '.join(entry.languages)}), "
        f"typed or transcribed; training texts have at most {longest} words. {scope} Slots are pieces of the text as "
        "they stand: nothing is normalised to dates or numbers. It was not tested for people whose language differs "
        "from that of the data, for speech recognition errors, or for uses in which a wrong answer does harm.\n"
    )
