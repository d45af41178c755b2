"""Questions for a tiny encoder: which of two words of its vocabulary stands in a text of letters."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import torch

import pqrnn
from makers.encoder import write_encoder
from pqrnn.data.questions.squad import Answer, Question
from pqrnn.model.length_config import LengthConfig, full_config
from pqrnn.questions.checkpoint import SpanBudget, read_span_facts, save_span_facts
from pqrnn.questions.run import run as train
from pqrnn.recipes.question_settings import FinetuneQuestionsRecipe

# Windows in which a tiny encoder of 40 subwords reads long contexts in pieces.
SHORT = {"spans.longest": 24, "spans.stride": 8, "spans.longest_question": 6, "spans.longest_answer": 4}

PART = LengthConfig((40,))  # of a network of one layer


def make_questions(count: int = 40, seed: int = 0, longest: int = 14) -> list[Question]:
    """Return questions whose answer is the one word `room` or `lights` of the context."""
    rng = random.Random(seed)
    questions = []
    for number in range(count):
        letters = [rng.choice("abcdefg") for _ in range(rng.randint(4, longest))]
        letters.insert(rng.randrange(len(letters)), rng.choice(["room", "lights"]))
        context = " ".join(letters)
        word = next(each for each in letters if len(each) > 1)
        questions.append(Question(f"q{number}", "x y", context, (Answer(word, context.index(word)),)))
    return questions


def write_squad(questions: list[Question], path: Path) -> Path:
    """Write questions as a file of SQuAD 1.1, and return the path."""
    paragraphs = [
        {
            "context": question.context,
            "qas": [
                {
                    "id": question.id,
                    "question": question.text,
                    "answers": [{"text": answer.text, "answer_start": answer.start} for answer in question.answers],
                }
            ],
        }
        for question in questions
    ]
    path.write_text(json.dumps({"version": "1.1", "data": [{"title": "letters", "paragraphs": paragraphs}]}))
    return path


def train_small(folder: Path, layers: int = 2, epochs: int = 3, **settings: Any) -> Path:
    """Train a tiny model that has learned a little, and return its folder.

    Args:
        folder: Empty folder, for the encoder, too.
        layers: Layers of the encoder.
        epochs: Passes over `make_questions()`.
        settings: Further settings of the training, as ``adaptive__enabled``.
    """
    (folder / "encoder").mkdir()
    write_encoder(folder / "encoder", layers=layers)
    torch.set_num_threads(1)
    recipe = {
        **SHORT,
        "spans.encoder": str(folder / "encoder"),
        "training.epochs": epochs,
        "training.batch": 8,
        "training.learning_rate": 2e-3,
        "training.precision": "float32",
        **{f"training.{name.replace('__', '.')}": value for name, value in settings.items()},
    }
    train(folder / "run", make_questions(), pqrnn.change(FinetuneQuestionsRecipe(), recipe), source={})
    return folder / "run"


def add_part(folder: Path) -> Path:
    """Give a trained model of one layer a part, as if it had been searched, and return its folder."""
    budgets = [
        SpanBudget(lengths=PART, macs=700, share=0.7, exact_match=0.4, f1=0.5, questions=9),
        SpanBudget(lengths=full_config(1), macs=1000, share=1.0, exact_match=0.5, f1=0.6, questions=9),
    ]
    save_span_facts(folder, msgspec.structs.replace(read_span_facts(folder), budgets=budgets))
    return folder
