"""The sentence grammar: what templates mean, what is said about wrong ones, counting, drawing and splitting.

The oracle is a brute-force expander over grammars of its own making: it never sees our parser's trees, writes every
derivation out with marks around the slots, and finds the offsets by counting visible characters.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pqrnn.data import grammar as manual
from pqrnn.data import home
from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.grammar import (
    Grammar,
    GrammarError,
    load_examples_from_grammar,
    load_grammar,
    parse_grammar,
    split_examples,
    split_of,
)
from pqrnn.data.grammar.splits import split_key
from pqrnn.errors import DataNotFoundError

# The oracle ----------------------------------------------------------------------------------------------------------

Tree = tuple[str, object]
_OPEN, _CLOSE = "\ue000", "\ue001"
_SPACES = re.compile(r"[ \t\r\n]+")


def _write(tree: Tree) -> str:
    """Write a tree of the oracle as a template."""
    kind, content = tree
    if kind == "text":
        return "".join(f"\\{char}" if char in "\\[](){}<>|;" else char for char in str(content))
    if kind == "list":
        name, label = content  # type: ignore[misc]
        return "{" + (name if name == label else f"{name}:{label}") + "}"
    if kind == "rule":
        return f"<{content}>"
    parts = [_write(part) for part in content]  # type: ignore[attr-defined]
    if kind == "sequence":
        return "".join(parts)
    if kind == "optional":
        return f"[{parts[0]}]"
    return "(" + ("|" if kind == "choice" else ";").join(parts) + ")"


@dataclass(frozen=True)
class Oracle:
    """Expands a grammar by writing out every derivation."""

    lists: dict[str, list[Tree]]
    rules: dict[str, list[Tree]]
    sentences: list[Tree]

    def toml(self) -> str:
        lines = []
        for section, entries in (("lists", self.lists), ("rules", self.rules), ("intents", {"it": self.sentences})):
            lines.append(f"[{section}]")
            lines += [
                f"{name} = {json.dumps([_write(tree) for tree in trees], ensure_ascii=False)}"
                for name, trees in entries.items()
            ]
        return "\n".join(lines)

    def size(self, tree: Tree) -> int:
        """An upper bound that keeps the examples small; the real count is the length of the expansion."""
        kind, content = tree
        if kind == "text":
            return 1
        if kind == "list":
            return sum(map(self.size, self.lists[content[0]]))  # type: ignore[index]
        if kind == "rule":
            return sum(map(self.size, self.rules[str(content)]))
        sizes = [self.size(part) for part in content]  # type: ignore[attr-defined]
        if kind == "optional":
            return sizes[0] + 1
        if kind == "choice":
            return sum(sizes)
        product = 1
        for size in sizes:
            product *= size
        return product * (6 if kind == "permutation" else 1)

    def raw(self, tree: Tree, in_slot: bool) -> Iterator[str]:
        kind, content = tree
        if kind == "text":
            yield str(content)
        elif kind == "list":
            name, label = content  # type: ignore[misc]
            for text in self.any_of(self.lists[name], in_slot=True):
                yield text if in_slot else f"{_OPEN}{label}{_OPEN}{text}{_CLOSE}"
        elif kind == "rule":
            yield from self.any_of(self.rules[str(content)], in_slot)
        elif kind in ("optional", "choice"):
            yield from self.any_of([*content, ("text", "")][: None if kind == "optional" else -1], in_slot)  # type: ignore[misc]
        else:
            orders = itertools.permutations(content) if kind == "permutation" else [content]  # type: ignore[call-overload]
            glue = " " if kind == "permutation" else ""
            for order in orders:
                for parts in itertools.product(*[list(self.raw(part, in_slot)) for part in order]):
                    yield glue + glue.join(parts) + glue

    def any_of(self, trees: list[Tree], in_slot: bool) -> Iterator[str]:
        for tree in trees:
            yield from self.raw(tree, in_slot)

    def expand(self) -> list[tuple[str, tuple[SlotSpan, ...]]]:
        return [_read_marks(text) for tree in self.sentences for text in self.raw(tree, False)]


def _read_marks(raw: str) -> tuple[str, tuple[SlotSpan, ...]]:
    """Take the marks out, collapse white space, and place the slots by counting visible characters."""
    plain, opened, spans = "", [], []
    for piece in re.split(f"({_OPEN}[^{_OPEN}]*{_OPEN}|{_CLOSE})", raw):
        visible = len(_SPACES.sub("", plain))
        if piece.startswith(_OPEN):
            opened.append((piece.strip(_OPEN), visible))
        elif piece == _CLOSE:
            spans.append((*opened.pop(), visible))
        else:
            plain += piece
    text = _SPACES.sub(" ", plain).strip(" ")
    visible = [index for index, char in enumerate(text) if char != " "]
    return text, tuple(SlotSpan(label, visible[first], visible[last - 1] + 1) for label, first, last in spans)


# No punctuation: what becomes of the space before it has examples of its own below.
_text = st.text(alphabet="ab é\u0e01\u0e33\u0939\u093f7[](){}<>|\\ ", min_size=1, max_size=4).map(
    lambda text: ("text", text)
)


def _trees(lists: list[str], rules: list[str]) -> st.SearchStrategy[Tree]:
    references: list[st.SearchStrategy[Tree]] = []
    if lists:
        names = st.sampled_from(lists)
        references.append(st.tuples(names, st.sampled_from(["s0", "s1", *lists])).map(lambda pair: ("list", pair)))
    if rules:
        references.append(st.sampled_from(rules).map(lambda name: ("rule", name)))

    def extend(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        return st.one_of(
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: ("sequence", parts)),
            inner.map(lambda part: ("optional", [part])),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: ("choice", parts)),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: ("permutation", parts)),
        )

    return st.recursive(st.one_of(_text, *references), extend, max_leaves=5)


def _never_empty(tree: Tree) -> Tree:
    return ("sequence", [("text", "x"), tree])


@st.composite
def _oracles(draw: st.DrawFn) -> Oracle:
    """Grammars without recursion: each definition refers only to earlier ones."""
    lists: dict[str, list[Tree]] = {}
    rules: dict[str, list[Tree]] = {}
    for index in range(draw(st.integers(0, 3))):
        trees = _trees(list(lists), list(rules))
        lists[f"l{index}"] = [_never_empty(tree) for tree in draw(st.lists(trees, min_size=1, max_size=3))]
        rules[f"r{index}"] = draw(st.lists(_trees(list(lists), list(rules)), min_size=1, max_size=2))
    trees = _trees(list(lists), list(rules))
    oracle = Oracle(lists, rules, [_never_empty(tree) for tree in draw(st.lists(trees, min_size=1, max_size=3))])
    assume(all(oracle.size(tree) <= 60 for tree in oracle.sentences))
    return oracle


def _meaning(example: Example) -> tuple[str, tuple[SlotSpan, ...]]:
    return example.text, example.slots


@settings(max_examples=60)
@given(_oracles())
def test_every_derivation_is_the_oracles(oracle: Oracle) -> None:
    grammar = parse_grammar(oracle.toml())
    expected = oracle.expand()
    assert grammar.count() == grammar.count("it") == len(expected)
    assert Counter(map(_meaning, grammar.expand())) == Counter(expected)
    labels = {slot.label for _, slots in expected for slot in slots}
    assert set(grammar.labels) == labels


@settings(max_examples=30)
@given(_oracles(), st.integers(-5, 2**70))
def test_a_sample_is_drawn_from_the_language(oracle: Oracle, seed: int) -> None:
    grammar = parse_grammar(oracle.toml())
    expected = set(oracle.expand())
    texts = {text for text, _ in expected}
    assert {_meaning(example) for example in itertools.islice(grammar.draw(seed), 40)} <= expected
    everything = grammar.sample(10_000, seed)
    assert {_meaning(example) for example in everything} <= expected
    assert sorted(example.text for example in everything) == sorted(texts)
    some = grammar.sample(5, seed)
    assert some == everything[:5] == parse_grammar(oracle.toml()).sample(5, seed)


@settings(max_examples=20)
@given(_oracles())
def test_the_splits_of_a_grammar_share_nothing_and_miss_nothing(oracle: Oracle) -> None:
    grammar = parse_grammar(oracle.toml())
    parts = [grammar.sample(10_000, seed, split=split) for seed, split in enumerate(("train", "dev", "test"))]
    keys = [{split_key(example.text) for example in part} for part in parts]
    assert not (keys[0] & keys[1] or keys[0] & keys[2] or keys[1] & keys[2])
    assert sum(map(len, parts)) == len(grammar.sample(10_000))
    if grammar.count() < 20:
        assert parts[1] == parts[2] == []


# What templates mean -------------------------------------------------------------------------------------------------


def _grammar(*sentences: str, **definitions: object) -> Grammar:
    lists = definitions.pop("lists", "")
    rules = definitions.pop("rules", "")
    assert not definitions
    return parse_grammar(
        f"[lists]\n{lists}\n[rules]\n{rules}\n[intents]\nit = {json.dumps(list(sentences), ensure_ascii=False)}"
    )


def _texts(grammar: Grammar) -> list[str]:
    return [example.text for example in grammar.expand()]


@pytest.mark.parametrize(
    ("template", "texts"),
    [
        ("turn it on", ["turn it on"]),
        ("light[s]", ["lights", "light"]),
        ("(turn|switch) on", ["turn on", "switch on"]),
        ("a [b|c] d", ["a b d", "a c d", "a d"]),
        ("(a;b;c)", ["a b c", "a c b", "b a c", "b c a", "c a b", "c b a"]),
        ("x(a;b)y", ["x a b y", "x b a y"]),
        ("a[-| ]b", ["a-b", "a b", "ab"]),
        ("  a \t b\n", ["a b"]),
        (r"\[a\] \(b\) \{c\} \<d\> \| \; \\", [r"[a] (b) {c} <d> | ; \\".replace(r"\\", "\\")]),
        ("a; b", ["a; b"]),
        ("20\u00a0°C [now]", ["20\u00a0°C now", "20\u00a0°C"]),
        ("off [now][?]", ["off now?", "off now", "off?", "off"]),
        ("off [now], please", ["off now, please", "off, please"]),
        ("ouvre [la porte][ ?]", ["ouvre la porte ?", "ouvre la porte", "ouvre ?", "ouvre"]),
        ("learn [some] .NET", ["learn some .NET", "learn .NET"]),
        ("เปิดไฟ[ห้องครัว](ครับ|ค่ะ)", ["เปิดไฟห้องครัวครับ", "เปิดไฟห้องครัวค่ะ", "เปิดไฟครับ", "เปิดไฟค่ะ"]),
    ],
)
def test_what_a_template_makes(template: str, texts: list[str]) -> None:
    assert Counter(_texts(_grammar(template))) == Counter(texts)


def test_slots_are_code_points_without_the_space_around_them() -> None:
    grammar = _grammar("  ouvre  {cover} 🏠 {room:area}[!]", lists='cover = ["  [les] volets "]\nroom = "\u0e01\u0e33"')
    found = [(example.text, [example.text[s.start : s.end] for s in example.slots]) for example in grammar.expand()]
    assert found[0] == ("ouvre les volets 🏠 \u0e01\u0e33!", ["les volets", "\u0e01\u0e33"])
    assert found[3] == ("ouvre volets 🏠 \u0e01\u0e33", ["volets", "\u0e01\u0e33"])
    assert [slot.label for slot in next(grammar.expand()).slots] == ["cover", "area"]
    assert grammar.labels == ("area", "cover")


def test_a_slot_inside_a_slot_is_part_of_it() -> None:
    grammar = _grammar(
        "at {time}",
        lists='time = "{hour} <part>"\nhour = { from = 7, to = 8 }\nnoon = "x"',
        rules='part = ["am", "{hour} pm"]',
    )
    assert [example.slots for example in grammar.expand()][:2] == [(SlotSpan("time", 3, 7),), (SlotSpan("time", 3, 9),)]
    assert grammar.labels == ("time",)
    assert grammar.unused == ("list 'noon'",)


def test_ranges() -> None:
    lists = """
    a = { from = -1, to = 1 }
    b = ["half", { from = 0, to = 100, step = 50, template = ["{n} percent", "{n}[ ]%"] }]
    c = { from = 5, to = 10, step = 5, pad = 2 }
    d = { from = 9, to = 10, digits = "๐๑๒๓๔๕๖๗๘๙" }
    huge = { from = 1, to = 1_000_000_000_000_000_000_000 }
    """
    grammar = _grammar("{a}", "{b}", "{c}", "{d}", lists=lists)
    assert list(grammar.values("a")) == ["-1", "0", "1"]
    assert list(grammar.values("b")) == [
        "half", "0 percent", "50 percent", "100 percent", "0 %", "0%", "50 %", "50%", "100 %", "100%",
    ]  # fmt: skip
    assert list(grammar.values("c")) == ["05", "10"]
    assert list(grammar.values("d")) == ["๙", "๑๐"]
    assert grammar.count() == 3 + 10 + 2 + 2
    assert grammar.unused == ("list 'huge'",)
    assert _grammar("{huge} {huge}", lists=lists).count() == 10**42


def test_count_is_exact_where_nobody_could_list() -> None:
    choices = "(" + "|".join("abcdefghij") + ")"
    assert _grammar(choices * 50).count() == 10**50
    assert len(_grammar(choices * 50).sample(100)) == 100


def test_where_an_example_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('locale = "en-GB"\n[intents]\na = ["x"]\nb = [\n  "y",\n  "x y",\n]\n', encoding="utf-8")
    grammar = load_grammar(path)
    assert [example.source for example in grammar.expand()] == ["my.toml:3", "my.toml:5", "my.toml:6"]
    assert {example.locale for example in grammar.expand()} == {"en-GB"} == {grammar.locale}
    assert grammar.intents == ("a", "b")
    assert [grammar.count(intent) for intent in "abc"] == [1, 2, 0]


def test_the_manuals_examples_work() -> None:
    module = textwrap.dedent(str(manual.__doc__).split("does something::")[1].split("\nIt makes")[0])
    meant = Example("switch on the living room lights", "light_on", (SlotSpan("area", 14, 25),))
    assert meant.text in _texts(parse_grammar(module))
    assert _meaning(meant) in map(_meaning, parse_grammar(module).expand())
    readme = (Path(home.__file__).with_name("home_control") / "README.md").read_text(encoding="utf-8")
    grammar = parse_grammar(readme.split("```toml\n")[1].split("```")[0])
    assert grammar.unused == ()
    assert grammar.intents == ("light_dim", "light_on")


# How sentences are drawn ---------------------------------------------------------------------------------------------


def _share(grammar: Grammar, start: str, number: int = 2000) -> float:
    return sum(example.text.startswith(start) for example in itertools.islice(grammar.draw(1), number)) / number


def test_a_large_list_does_not_swamp_the_rest() -> None:
    lists = "n = { from = 1, to = 1_000_000 }"
    assert _share(_grammar("silence", "play {n}", lists=lists), "silence") == pytest.approx(0.5, abs=0.05)
    assert _share(_grammar("(silence|play {n})", lists=lists), "silence") == pytest.approx(0.5, abs=0.05)
    assert _share(_grammar("[please|kindly] play", lists=lists), "play") == pytest.approx(0.5, abs=0.05)


def test_weights_are_followed_everywhere() -> None:
    grammar = parse_grammar('[intents]\na = [{ text = "x", weight = 9 }, "y"]')
    assert _share(grammar, "x") == pytest.approx(0.9, abs=0.03)
    grammar = parse_grammar('[intents]\na = "{l}"\n[lists]\nl = ["x", { from = 1, to = 9, weight = 3 }]')
    assert _share(grammar, "x") == pytest.approx(0.25, abs=0.04)
    grammar = parse_grammar('[intents]\na = "<r>"\n[rules]\nr = ["x", { text = "y", weight = 0.25 }]')
    assert _share(grammar, "x") == pytest.approx(0.8, abs=0.04)


_HOME = """
locale = "en"
[lists]
area = ["kitchen", "hall[way]", { text = "living room", weight = 2 }]
level = ["half", { from = 5, to = 100, step = 5, template = ["{n} percent", "{n}[ ]%"], weight = 3 }]
[rules]
ask = "(please|can you)"
[intents]
light_on = ["[<ask>] (turn|switch) on the {area} light[s]", "{area} lights on[, please]"]
dim = ["[<ask>] (dim the {area} light;to {level})", { text = "{area} {level}[!]", weight = 2 }]
"""


def test_the_same_seed_gives_the_same_sentences_for_ever() -> None:
    sample = parse_grammar(_HOME).sample(200, 7)
    lines = [
        f"{example.text}|{example.intent}|{[(s.label, s.start, s.end) for s in example.slots]}" for example in sample
    ]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == "1c01317890c5142d"
    assert parse_grammar(_HOME).sample(200, 8) != sample


def test_a_sample_has_no_text_twice_and_stops_when_there_are_no_more() -> None:
    sample = parse_grammar(_HOME).sample(100_000)
    texts = [example.text for example in sample]
    assert len(texts) == len(set(texts)) == len(set(_texts(parse_grammar(_HOME))))


# Splits --------------------------------------------------------------------------------------------------------------


@given(st.text(min_size=1))
def test_case_and_punctuation_do_not_change_the_split(text: str) -> None:
    letters = f"a{text}"
    assert split_of(f"  {letters}!?") == split_of(letters)
    assert split_of(letters.casefold()) == split_of(letters)


def test_the_split_of_a_text_is_fixed_and_in_proportion() -> None:
    splits = Counter(split_of(f"sentence number {index}") for index in range(10_000))
    assert splits == pytest.approx({"train": 8000, "dev": 1000, "test": 1000}, abs=120)
    assert [split_of(f"turn on light {number}") for number in (1, 8, 13)] == ["train", "dev", "test"]


def test_split_examples_keeps_order_and_sizes() -> None:
    examples = parse_grammar(_HOME).sample(600)
    everything = split_examples(examples)
    assert sorted(map(_meaning, itertools.chain(*everything))) == sorted(map(_meaning, examples))
    limited = split_examples(examples, train=50, dev=10, test=0)
    assert limited == (everything.train[:50], everything.dev[:10], [])
    assert split_examples([*examples, Example("something new", "x")]).dev[: len(everything.dev)] == everything.dev


def test_loading_a_grammar_as_data(tmp_path: Path) -> None:
    path = tmp_path / "home.toml"
    path.write_text(_HOME, encoding="utf-8")
    train, dev = load_examples_from_grammar(path, "train", count=100), load_examples_from_grammar(path, "dev", count=30)
    assert (len(train), len(dev)) == (100, 30)
    assert {split_of(example.text) for example in train} == {"train"}
    assert load_examples_from_grammar(path, "eval", "en-US,de", count=30) == dev
    assert load_examples_from_grammar(path, "dev", count=30, seed=1) != dev
    test = load_examples_from_grammar(path, "test", count=30)
    assert load_examples_from_grammar(path, "all", count=30) == train[:30] + dev + test
    with pytest.raises(GrammarError, match="locale is 'en'; expected 'de'"):
        load_examples_from_grammar(path, "train", "de")
    with pytest.raises(DataNotFoundError, match="'tain' is no split"):
        load_examples_from_grammar(path, "tain")
    with pytest.raises(GrammarError, match="0 examples"):
        load_examples_from_grammar(path, "train", count=0)


def test_a_grammar_too_small_to_split_says_so(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text('[intents]\non = "lights on[, please]"\n', encoding="utf-8")
    assert len(load_examples_from_grammar(path, "train")) == 2
    with pytest.raises(GrammarError, match="makes 2 sentences, none of which falls into 'dev'"):
        load_examples_from_grammar(path, "dev")


# What is said about wrong files --------------------------------------------------------------------------------------

_LISTS = '[lists]\nroom = ["kitchen"]\n[rules]\nask = "please"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "not valid TOML"),
        ("", "no sentences; expected an [intents] section"),
        ("[intent]\na = 'x'", "unknown section 'intent' (did you mean 'intents'?)"),
        ("intents = 3", "'intents' is a number; expected a section"),
        ("kinds = 3\n[intents]\na = 'x'", "'kinds' is a number; expected a section"),
        ("[kinds]\nl = 'number'\n[intents]\na = 'x'", "g.toml:2: kind of 'l': no such slot; expected one of none"),
        ("[kinds]\nll = 'x'\n[lists]\nl = ['v']\n[intents]\na = '{l}'", "no such slot (did you mean 'l'?)"),
        ("[kinds]\nl = 'size'\n[lists]\nl = ['v']\n[intents]\na = '{l}'", "is 'size'; expected one of number"),
        ("[kinds]\nl = 3\n[lists]\nl = ['v']\n[intents]\na = '{l}'", "kind of 'l' is 3; expected one of number"),
        ("locale = 3", "'locale' is 3"),
        ("[intents]\na = 3", "g.toml:2: intent 'a' is a number; expected \"a template\""),
        ("[intents]\na = []", "g.toml:2: intent 'a' is empty; expected at least one sentence"),
        ("[intents]\na = ['x', ['y']]", "intent 'a', entry 2 is an array"),
        ("[intents]\na = { text = 'x', wieght = 2 }", "unknown key 'wieght' (did you mean 'weight'?)"),
        ("[intents]\na = { text = 'x', weight = 0 }", "weight 0; expected a number above 0"),
        ("[intents]\na = { from = 1, to = 2 }", "a number range; expected a sentence"),
        ("[intents]\na = 'x'\n[lists]\n'a b' = 'x'", "list 'a b': not a name"),
        ("[intents]\na = 'x'\n[lists]\nl = { from = 3, to = 1 }", "g.toml:4: list 'l': from 3 to 1 holds no number"),
        ("[intents]\na = 'x'\n[lists]\nl = { from = 3 }", "'to' is missing; expected a whole number"),
        ("[intents]\na = 'x'\n[lists]\nl = { from = 1, to = 3, step = 0 }", "step 0; expected 1 or more"),
        ("[intents]\na = 'x'\n[lists]\nl = { from = 1, to = 3, digits = '01' }", "digits '01'"),
        ("[intents]\na = 'x'\n[lists]\nl = { from = 1, to = 3, pad = -1 }", "pad -1"),
        ("[intents]\na = 'x'\n[lists]\nl = { from = 1, to = 3, template = 4 }", "template 4; expected a string"),
        ("[intents]\na = 'x'\n[lists]\nl = { from = 1, to = 3, template = '[{n}]' }", "no {n}"),
        ("[intents]\na = 'x <ask'", "'<' is never closed\n    x <ask\n      ^\n  expected '>' after the name"),
        ("[intents]\na = '<r>'\n[rules]\nr = ['x', '<s>']\ns = '[<r>] y'", "g.toml:4: rule 'r'"),
        ("[intents]\na = '<r>'\n[rules]\nr = ['x', '<s>']\ns = '[<r>] y'",
         "refers to itself: rule 'r' -> rule 's' -> rule 'r'"),
        ("[intents]\na = '{l}'\n[lists]\nl = 'x {l}'", "list 'l' -> list 'l'"),
        ("[intents]\na = '" + "(" * 50 + "'", "nested more than 40 deep"),
        ("[intents]\na = '<r0>'\n[rules]\n" + "\n".join(f"r{i} = '<r{i + 1}>'" for i in range(30)) + "\nr30 = 'x'",
         "more than 20 deep"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_explained(text: str, message: str) -> None:
    with pytest.raises(GrammarError) as caught:
        parse_grammar(text, "g.toml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("template", "piece", "problem", "expected"),
    [
        ("turn on the {rom} light", "{rom}", "unknown list 'rom' (did you mean 'room'?)", "one of the lists: room"),
        ("<aks> turn on", "<aks>", "unknown rule 'aks' (did you mean 'ask'?)", "one of the rules: ask"),
        ("in the <room>", "<room>", "unknown rule 'room'", "{room}: it is a list"),
        ("{ask} go", "{ask}", "unknown list 'ask'", "<ask>: it is a rule"),
        ("turn (on|off", "(", "'(' is never closed", "')' further on"),
        ("turn (on|off]", "]", "']' inside '('", "')' first"),
        ("turn on) now", ")", "')' without an opening '('", "'\\)' for the character itself"),
        ("on|off", "|", "'|' outside of brackets", "alternatives in brackets: (this|that), or '\\|'"),
        ("a (b|) c", ")", "an empty alternative", "some text; an optional part is [like this]"),
        ("a [] c", "]", "an empty alternative", "some text; an optional part is [like this]"),
        ("(a;b|c)", "|", "'|' and ';' in the same brackets", "inner brackets: (a;(b|c))"),
        ("เปิดไฟที่{ห้อง ครัว}", "{ห้อง ครัว}", "'ห้อง ครัว' is not a name", "a list name or list:slot between"),
        ("{room:a:b}", "{room:a:b}", "more than one ':'", "a list name or list:slot between"),
        ("x {} y", "{}", "a name is missing", "a list name or list:slot between"),
        ("tail\\", "\\", "nothing after the backslash", "a character to escape"),
        (
            "[maybe] [nothing]",
            "[maybe] [nothing]",
            "a sentence that can be empty",
            "at least one part that is not optional",
        ),
    ],
)
def test_a_wrong_template_is_pointed_at(template: str, piece: str, problem: str, expected: str) -> None:
    with pytest.raises(GrammarError) as caught:
        parse_grammar(
            f"{_LISTS}[intents]\nother = 'fine'\nwrong = ['fine', {json.dumps(template, ensure_ascii=False)}]", "g.toml"
        )
    first, shown, carets, hint = str(caught.value).split("\n")
    start = template.rindex(piece) if piece in ")]|\\" else template.index(piece)
    assert first == f"g.toml:7: intent 'wrong', entry 2, column {start + 1}: {problem}"
    assert shown == f"    {template}"
    assert hint.startswith(f"  expected {expected}")
    # Marks above and below a Thai letter take no column of their own.
    width = {char: 0 if char in "\u0e34\u0e35\u0e48\u0e49\u0e31" else 1 for char in template}
    assert carets == "    " + " " * sum(width[char] for char in template[:start]) + "^" * sum(
        width[char] for char in piece
    )


def test_a_list_value_that_can_be_empty_is_refused() -> None:
    with pytest.raises(GrammarError, match=r"g\.toml:2: list 'l', entry 2, column 1: a list value that can be empty"):
        parse_grammar("[lists]\nl = ['x', '[<r>]']\n[rules]\nr = '[a]'\n[intents]\na = '{l}'", "g.toml")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GrammarError, match=r"absent\.toml: cannot be read"):
        load_grammar(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b"a = '\xe9'")
    with pytest.raises(GrammarError, match=r"latin\.toml: byte 5 is not UTF-8"):
        load_grammar(tmp_path / "latin.toml")


def test_a_grammar_says_what_its_slots_hold() -> None:
    text = "[kinds]\nsize = 'percent'\n[lists]\nl = ['half', 'full']\n[intents]\na = 'to {l:size}'"
    assert parse_grammar(text).kinds == {"size": "percent"}
    assert parse_grammar("[intents]\na = 'x'").kinds == {}
