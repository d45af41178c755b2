"""Evaluation: with and without texts of the training set, by language, and of what is out of scope."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from makers.forks import run_pqrnn
from makers.runs import write_run
from makers.small import LABELS, TEXTS, make_model

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.distillation.loading import load_teacher
from pqrnn.errors import DataNotFoundError
from pqrnn.evaluation.evaluate import evaluate_predictions, split_languages
from pqrnn.evaluation.frames import frame_of_example, frame_of_parse
from pqrnn.evaluation.metrics import score_frames
from pqrnn.evaluation.prediction import Prediction, compute_logits, decide
from runtime_py.decode.decoder import Decoder

_INTENTS = ("on", "off", "oos")
_DECODER = Decoder(_INTENTS, ("O", "B-what", "I-what"))


def _answer(*intent: float, tags: tuple[int, ...] = (0, 0)) -> Prediction:
    return Prediction(
        np.array(intent, np.float32), np.eye(3, dtype=np.float32)[list(tags)] * 5, np.array([(0, 4), (5, 10)], np.int32)
    )


def test_utterances_of_the_training_set_are_left_out() -> None:
    slot = (SlotSpan("what", 5, 10),)
    examples = [
        Example("Turn light", "on", slot),
        Example("stop light", "off", slot),
        Example("kill light", "off", slot),
        Example("make light", "on", slot),
    ]
    answers = [
        _answer(1, 0, 0, tags=(0, 1)),
        _answer(1, 0, 0, tags=(0, 1)),
        _answer(0, 1, 0),
        _answer(1, 0, 0, tags=(0, 1)),
    ]
    found = evaluate_predictions(examples, answers, _DECODER, ["turn LIGHT", "something else"])
    assert found.scores.exact_match.value == 0.5
    assert found.fresh is not None
    assert found.fresh.exact_match.n == 3
    assert found.fresh.exact_match.value == pytest.approx(1 / 3)
    assert found.figures()["intent accuracy, utterances not in train"].value == pytest.approx(2 / 3)
    assert found.as_dict()["not_in_train"]["exact_match"]["n"] == 3
    assert evaluate_predictions(examples, answers, _DECODER, ["something else"]).fresh is None
    assert evaluate_predictions(examples, answers, _DECODER).scope is None


def test_an_f1_over_slots_is_given_only_where_there_are_slots() -> None:
    without = [Example("hello there", _DECODER.intents[0]), Example("and again", _DECODER.intents[1])]
    answers = [_answer(0, 0, 2), _answer(1, 0, 2)]
    assert "slot f1" not in evaluate_predictions(without, answers, _DECODER).figures()
    one = [without[0], Example("and again", _DECODER.intents[1], (SlotSpan("x", 4, 9),))]
    assert "slot f1" in evaluate_predictions(one, answers, _DECODER).figures()


def test_what_is_out_of_scope_is_told_by_the_intents_in_scope() -> None:
    examples = [
        Example("turn light", "on"),
        Example("stop light", "off"),
        Example("what light", "oos"),
        Example("why light", "oos"),
    ]
    # The third is called out of scope, which leaves little for the others; the last is surer of "on" than the second is
    # of "off".
    answers = [_answer(4, 0, 0), _answer(0, 1, 0.5), _answer(0, 0, 3), _answer(2, 0, 0)]
    scope = evaluate_predictions(examples, answers, _DECODER, out_of_scope="oos").scope
    assert scope is not None
    assert scope.in_scope_accuracy.value == 1.0
    assert scope.in_scope_accuracy.n == 2
    assert scope.auroc.value == 0.75
    wrong = evaluate_predictions(examples, [_answer(0, 0, 9), *answers[1:]], _DECODER, out_of_scope="oos").scope
    assert wrong is not None
    assert wrong.in_scope_accuracy.value == 0.5
    with pytest.raises(DataNotFoundError, match="'none'"):
        evaluate_predictions(examples, answers, _DECODER, out_of_scope="none")


def test_languages_are_told_apart() -> None:
    assert split_languages(
        [Example("a", "x", locale="en"), Example("b", "x", locale="de"), Example("c", "x", locale="en")]
    ) == {
        "en": [0, 2],
        "de": [1],
    }


def test_answers_keep_the_order_of_the_texts(tmp_path: Path) -> None:
    model = make_model(3)
    texts = [*TEXTS, "", "a", *reversed(TEXTS)]
    decoder = Decoder(LABELS.intents, LABELS.tags)
    together = [frame_of_parse(parse) for parse in decide(decoder, texts, compute_logits(model, texts))]
    assert together == [frame_of_parse(decide(decoder, [text], compute_logits(model, [text]))[0]) for text in texts]
    write_run(tmp_path / "run", seed=3)
    again, facts = load_teacher(tmp_path / "run")
    parses = decide(Decoder(facts.labels.intents, facts.labels.tags), texts, compute_logits(again, texts))
    assert [frame_of_parse(parse) for parse in parses] == together


def test_the_command_line_scores_each_language(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    lines = {"train": [], "test": []}
    for locale, texts in (("en", ["wake me", "play jazz", "stop"]), ("de", ["wecke mich", "spiel Jazz"])):
        lines["test"] += [{"text": text, "intent": "alarm", "slots": [], "locale": locale} for text in texts]
    lines["train"].append({"text": "Stop", "intent": "none", "slots": [], "locale": "en"})
    for split, rows in lines.items():
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ("evaluate", tmp_path / "run", "--data", f"{tmp_path}/")
    done = run_pqrnn(*command, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    examples = [Example(row["text"], "alarm", (), row["locale"]) for row in lines["test"]]
    model, facts = load_teacher(tmp_path / "run")
    parses = decide(
        Decoder(facts.labels.intents, facts.labels.tags),
        [each.text for each in examples],
        compute_logits(model, [each.text for each in examples]),
    )
    scores = score_frames([frame_of_example(each) for each in examples], [frame_of_parse(parse) for parse in parses])
    assert found["intent_accuracy"] == scores.as_dict()["intent_accuracy"]
    assert found["not_in_train"]["intent_accuracy"]["n"] == 4
    assert found["languages"]["de"]["exact_match"]["n"] == 2
    assert "mean of 2 languages" in run_pqrnn(*command).stdout
