"""`pqrnn extend`: what a parser knew stays, new commands are learned, a stop costs nothing, and what it refuses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from makers.rooms import ROOMS, make_rooms
from makers.trained import pretend_trained
from typer.testing import CliRunner

import pqrnn
from pqrnn.checkpoint import load_checkpoint, load_facts, save_checkpoint
from pqrnn.cli.running import app
from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.writer import write_jsonl
from pqrnn.errors import ExtensionError
from pqrnn.evaluation.prediction import compute_logits, predict_texts
from pqrnn.extending.labels import extend_labels
from pqrnn.extending.weights import grow_weights
from pqrnn.model.int8 import IntegerLinear
from pqrnn.model.parser import ParserModel
from pqrnn.quantization import prepare_qat, quantize_checkpoint
from pqrnn.recipes.extend_settings import ExtendRecipe
from pqrnn.recipes.files import write_recipe
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TrainingConfig, TransformerConfig
from pqrnn.training import artifacts
from pqrnn.training.reporting import TrainingReporter
from pqrnn.training.trainer import train
from runtime_py.decode.labels import Labels
from runtime_py.decode.tags import TagScheme

pytestmark = pytest.mark.slow

_MODEL = ModelConfig(projection=ProjectionConfig(word_features=64, ngram_features=64), bottleneck=32, state=16)
_QUICK = pqrnn.change(
    ExtendRecipe(),
    {
        "training.epochs": 2,
        "training.batch": 4,
        "training.learning_rate": 4e-3,
        "training.misspell": 0.0,
        "training.restyle": 0.0,
        "training.precision": "float32",
        "transfer.variants": 1,
        "extension.new_share": 0.3,
    },
)
_NEW_ONLY = pqrnn.change(_QUICK, {"extension.learns": "new", "training.epochs": 1})


def _make_blinds() -> list[Example]:
    """One new intent, one slot that is known and one that is new and sorts before it."""
    made = []
    for room in ("kitchen", "hall", "cellar", "garage"):
        for amount in ("halfway", "fully"):
            text = f"lower the {room} blinds {amount}"
            first, second = text.index(room), text.index(amount)
            slots = (SlotSpan("room", first, first + len(room)), SlotSpan("amount", second, second + len(amount)))
            made.append(Example(text, "blinds", slots, "en"))
    return made


@pytest.fixture(scope="module", autouse=True)
def _without_curves() -> Iterator[None]:
    """Drawing takes longer than all that is learned here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "plot_curves", lambda log, path: None)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A parser in float32, and its data, which it names, beside it."""
    folder = tmp_path_factory.mktemp("run")
    write_jsonl(make_rooms(), folder / "rooms.jsonl")
    config = TrainingConfig(epochs=4, batch=2, learning_rate=1e-2, patience=0, misspell=0.0, restyle=0.0)
    source = {"spec": str(folder / "rooms.jsonl"), "locale": ""}
    train(folder / "float", make_rooms(), make_rooms(), _MODEL, config, source=source)
    return folder / "float"


@pytest.fixture(scope="module")
def int8(run: Path) -> Path:
    folder = run.parent / "int8"
    quantize_checkpoint(load_checkpoint(run), make_rooms(), make_rooms(), folder)
    return folder


@pytest.fixture(scope="module")
def four(run: Path) -> Path:
    folder = run.parent / "four"
    quantize_checkpoint(load_checkpoint(run), make_rooms(), make_rooms(), folder, 4)
    return folder


@pytest.fixture(scope="module")
def blinds(run: Path) -> str:
    path = run.parent / "blinds.jsonl"
    write_jsonl(_make_blinds(), path)
    return str(path)


def _answers(folder: Path, examples: list[Example]) -> list[tuple[str, list[tuple[str, int, int]]]]:
    checkpoint = load_checkpoint(folder)
    parses = predict_texts(checkpoint.model, checkpoint.facts.labels.decoder(), [row.text for row in examples])
    return [(parse.intent, [(slot.label, slot.start, slot.end) for slot in parse.slots]) for parse in parses]


def _right(folder: Path, examples: list[Example]) -> float:
    gold = [(row.intent, [(slot.label, slot.start, slot.end) for slot in row.slots]) for row in examples]
    return sum(one == other for one, other in zip(_answers(folder, examples), gold, strict=True)) / len(examples)


@pytest.mark.parametrize("kind", ["float", "int8", "four"])
def test_old_logits_stay_as_they_are_when_heads_grow(run: Path, int8: Path, four: Path, kind: str) -> None:
    checkpoint = load_checkpoint({"float": run, "int8": int8, "four": four}[kind])
    before = checkpoint.facts.labels
    labels = extend_labels(before, _make_blinds()).labels
    grown = grow_weights(checkpoint.model, before, labels)
    model = ParserModel(grown.config, len(labels.intents), len(labels.tags))
    model.load_state_dict(grown.weights)
    texts = [row.text for row in make_rooms()] + ["", "lower the hall blinds", "ein Wort"]
    for was, now in zip(
        compute_logits(checkpoint.model.folded(), texts), compute_logits(model.folded(), texts), strict=True
    ):
        intents, tags = now.intent[: len(before.intents)], now.tags[:, : len(before.tags)]
        if kind != "float":
            assert (intents == was.intent).all()
        assert intents == pytest.approx(was.intent, abs=1e-4)
        assert tags == pytest.approx(was.tags, abs=1e-3)
        assert now.intent.argmax() < len(before.intents) and (now.tags.argmax(-1) < len(before.tags)).all()


def test_weights_in_8_bits_are_the_same_whole_numbers_again() -> None:
    torch.manual_seed(5)
    learned = pretend_trained(ParserModel(_MODEL, 3, 7))
    config = prepare_qat(learned, make_rooms())
    integers = config.folded()
    labels = Labels(("a", "b", "c"), ("O", *(f"{mark}-{slot}" for slot in "xyz" for mark in "BI")))
    grown = grow_weights(integers, labels, labels)
    again = ParserModel(grown.config, 3, 7)
    again.load_state_dict(grown.weights)
    wanted = integers.state_dict()
    assert not grown.new
    assert any(isinstance(layer, IntegerLinear) for layer in integers.modules())
    for name, value in again.folded().state_dict().items():
        assert torch.equal(value.half(), wanted[name].half()), name


def test_int8_parser_learns_and_keeps_what_it_knew(int8: Path, blinds: str, tmp_path: Path) -> None:
    recipe = tmp_path / "quick.toml"
    recipe.write_text(write_recipe(_QUICK))
    out = tmp_path / "more"
    done = CliRunner().invoke(
        app,
        [
            *("extend", str(int8), "--data", blinds, "--old-data", str(int8.parent / "rooms.jsonl")),
            *("--out", str(out), "--recipe", str(recipe), "--json"),
        ],
    )
    assert done.exit_code == 0, done.output
    before, after = load_facts(int8), load_facts(out)
    assert after.labels.intents == (*before.labels.intents, "blinds")
    assert after.labels.tags == (*before.labels.tags, "B-amount", "I-amount")
    assert after.config.precision == "int8"
    assert _right(out, make_rooms()) >= _right(int8, make_rooms()) - 0.03
    assert _right(out, _make_blinds()) >= 0.8, _answers(out, _make_blinds())
    found = json.loads(done.stdout)["metrics"]["extension"]
    assert found["old_texts"] == "gold labels"
    assert found["new"]["value"] == _right(out, _make_blinds())  # too few rows to hold any out
    assert found == after.metrics["extension"]
    assert after.golden_texts[:-8] == before.golden_texts[:40]
    assert set(after.golden_texts[-8:]) == {row.text for row in _make_blinds()}
    assert sum(texts for _, _, texts in after.lengths) == sum(texts for _, _, texts in before.lengths) + 8
    assert after.labels.frame_weights == before.labels.frame_weights
    shown = CliRunner().invoke(app, ["recipe", "show", str(out)])
    assert shown.exit_code == 0 and "new_share = 0.3" in shown.output


def test_parser_of_4_bits_stays_one(four: Path, blinds: str, tmp_path: Path) -> None:
    pqrnn.extend(four, blinds, tmp_path / "out", old_data=[str(four.parent / "rooms.jsonl")], recipe=_QUICK)
    checkpoint = load_checkpoint(tmp_path / "out")
    assert checkpoint.facts.config.weight_bits == 4
    assert checkpoint.facts.labels.intents[-1] == "blinds"
    assert _right(tmp_path / "out", make_rooms()) >= _right(four, make_rooms()) - 0.1
    rows = checkpoint.model.folded().intent.weight[:, -1]
    assert int(rows.abs().max()) == 7  # the new row's scale fits its weights


def test_only_new_rows_learn_where_nothing_old_is_at_hand(int8: Path, blinds: str, tmp_path: Path) -> None:
    notes: list[str] = []

    class Notes(TrainingReporter):
        def note(self, text: str) -> None:
            notes.append(text)

    lonely = tmp_path / "lonely"
    checkpoint = load_checkpoint(int8)
    facts = msgspec.structs.replace(checkpoint.facts, data={**checkpoint.facts.data, "spec": "mtop:gone/spans"})
    lonely.mkdir()
    save_checkpoint(lonely, checkpoint.model, facts)
    recipe = pqrnn.change(_NEW_ONLY, {"extension.learns": "auto", "extension.old_texts": 60})
    pqrnn.extend(lonely, blinds, tmp_path / "out", recipe=recipe, reporter=Notes())
    assert any("not at hand" in note for note in notes)
    old, new = checkpoint.model.state_dict(), load_checkpoint(tmp_path / "out").model.state_dict()
    intents, tags = len(facts.labels.intents), len(facts.labels.tags)
    for name, value in old.items():
        kept = new[name]
        if name.startswith(("intent.", "tags.", "tags_from_pool.")):
            rows = intents if name.startswith("intent.") else tags
            kept = kept[:, :rows] if name.endswith("weight") else kept[:rows]
        elif name == "neighbours.weight":
            wide = kept.shape[1] // 2
            kept = torch.cat([kept[:tags, side : side + tags] for side in (0, wide)], 1)
        elif name == "neighbours.scale":
            wide = len(kept) // 2
            kept = torch.cat([kept[side : side + tags] for side in (0, wide)])
        assert torch.equal(kept, value), name
    found = load_facts(tmp_path / "out").metrics["extension"]
    assert found["old_texts"] == "the parser's own answers"
    assert found["old_before"]["value"] == 1.0


def test_goes_on_after_a_stop_to_the_same_integers(int8: Path, blinds: str, tmp_path: Path) -> None:
    class Stopping(TrainingReporter):
        def __init__(self, after: int) -> None:
            self.after = after

        def step(self, done: int, loss: float) -> None:
            if done == self.after:
                raise KeyboardInterrupt

    recipe = pqrnn.change(_QUICK, {"training.epochs": 2})

    def learn(name: str, reporter: TrainingReporter | None = None) -> str:
        return pqrnn.extend(int8, blinds, tmp_path / name, recipe=recipe, reporter=reporter).ended

    assert learn("whole") == "done"
    for after in (2, 6):
        with pytest.raises(KeyboardInterrupt):
            learn("stopped", Stopping(after))
        assert not (tmp_path / "stopped" / "checkpoint.json").exists()
    assert learn("stopped") == "done"
    assert learn("stopped") == "was finished"
    for name in ("model.safetensors",):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert load_facts(tmp_path / "stopped") == msgspec.structs.replace(
        load_facts(tmp_path / "whole"), revision=load_facts(tmp_path / "stopped").revision
    )
    with pytest.raises(pqrnn.PqrnnError, match="other settings"):
        pqrnn.extend(int8, blinds, tmp_path / "stopped", recipe=pqrnn.change(recipe, {"training.epochs": 3}))


def test_float32_parser_can_be_extended_twice_and_quantized(run: Path, blinds: str, tmp_path: Path) -> None:
    recipe = pqrnn.change(_QUICK, {"training.epochs": 1, "training.batch": 32})
    pqrnn.extend(run, blinds, tmp_path / "one", recipe=recipe)
    more = tmp_path / "more.jsonl"
    write_jsonl([Example(f"open the {room} door", "door", (), "en") for room in ROOMS[:3]], more)
    pqrnn.extend(tmp_path / "one", str(more), tmp_path / "two", recipe=recipe)
    facts = load_facts(tmp_path / "two")
    assert facts.labels.intents == ("dim", "off", "on", "blinds", "door")
    assert facts.data["known"].split(",") == [load_facts(run).data["spec"], blinds, str(more)]
    both = tmp_path / "both.jsonl"
    write_jsonl([*make_rooms(), *_make_blinds(), Example("open the hall door", "door")], both)
    pqrnn.quantize(tmp_path / "two", str(both), tmp_path / "two-int8")
    assert load_facts(tmp_path / "two-int8").labels == facts.labels


def test_what_makes_no_sense_is_said_in_a_sentence(int8: Path, blinds: str, tmp_path: Path) -> None:
    def refuse(data: str, words: str, out: Path = tmp_path / "out", run: Path = int8, **more: Any) -> None:
        with pytest.raises(ExtensionError, match=words):
            pqrnn.extend(run, data, out, recipe=_NEW_ONLY, **more)
        assert not (tmp_path / "out").exists()

    refuse(blinds, "that is the parser to extend", int8)
    write_jsonl(
        [Example("Dim the hall lights!", "night", ()), Example("good night", "night", ())], tmp_path / "a.jsonl"
    )
    refuse(str(tmp_path / "a.jsonl"), r"'Dim the hall lights!' is night in .*a.jsonl.* and dim in .*--new-wins")
    write_jsonl(make_rooms()[:4], tmp_path / "b.jsonl")
    refuse(str(tmp_path / "b.jsonl"), "no new intent and no new slot")
    config = ModelConfig(network="transformer", layers=1, transformer=TransformerConfig(width=16, heads=2, ffn=16))
    facts = msgspec.structs.replace(load_facts(int8), config=config)
    model = ParserModel(config, len(facts.labels.intents), len(facts.labels.tags))
    (tmp_path / "transformer").mkdir()
    save_checkpoint(tmp_path / "transformer", model, facts)
    refuse(blinds, "a transformer, and only recurrent parsers", run=tmp_path / "transformer")


_NAMES = st.sampled_from(("a", "b", "c", "d"))
_ROWS = st.lists(st.tuples(st.sampled_from(("p", "q", "r", "s")), st.frozensets(_NAMES, max_size=3)), min_size=1)


def _make_row(intent: str, slots: frozenset[str]) -> Example:
    text = " ".join(["x", *sorted(slots)])
    return Example(text, intent, tuple(SlotSpan(slot, text.index(slot), text.index(slot) + 1) for slot in slots))


@settings(max_examples=60)
@given(_ROWS, _ROWS)
def test_frames_and_counts_go_by_name_and_old_numbers_stay(
    old: list[tuple[str, frozenset[str]]], new: list[tuple[str, frozenset[str]]]
) -> None:
    """A slot that sorts before an old one moves the indices of frames, never their meaning."""
    from pqrnn.dataset.labels import list_labels

    before = list_labels([_make_row(*row) for row in old])
    additions = extend_labels(before, [_make_row(*row) for row in new])
    labels = additions.labels
    assert labels.intents[: len(before.intents)] == before.intents
    assert labels.tags[: len(before.tags)] == before.tags
    slots = TagScheme(labels.tags).slots
    labels.decoder()
    for intent, frame in zip(labels.intents, labels.frames, strict=True):
        seen = {slot for name, named in [*old, *new] if name == intent for slot in named}
        assert {slots[index] for index in frame} == seen
    if before.frame_counts:
        counted = {
            (intent, frozenset(slots[index] for index in frame[1:])): frame[0]
            for intent, frames in zip(labels.intents, labels.frame_counts, strict=True)
            for frame in frames
        }
        assert counted == Counter([*old, *new])
    assert set(additions.intents) == {name for name, _ in new} - {name for name, _ in old}
