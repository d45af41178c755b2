"""Questions for a tiny encoder: which of two words of its vocabulary stands in a text of letters."""

from __future__ import annotations

import json
import random
from pathlib import Path

from pqrnn.data.questions.squad import Answer, Question

# Windows in which a tiny encoder of 40 subwords reads long contexts in pieces.
SHORT = {"spans.longest": 24, "spans.stride": 8, "spans.longest_question": 6, "spans.longest_answer": 4}


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
