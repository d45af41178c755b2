"""Which layers of a teacher the layers of a student learn from, when hidden states are matched.

The mappings are those that Udagawa et al. 2023 (arXiv:2310.08797) compare. Layers are counted from 1; what goes into
the first one counts as layer 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Pairs = tuple[tuple[int, int], ...]


class Mapping(NamedTuple):
    """A mapping of layers.

    Attributes:
        name: Name on the command line.
        formula: Teacher layers of student layer i, with S student and T teacher layers.
        pairs: Gives the pairs (student layer, teacher layer) for S, T and the K of `last-k`.
    """

    name: str
    formula: str
    pairs: Callable[[int, int, int], Pairs]


def _last(student: int, teacher: int, last: int) -> Pairs:
    return ((student, teacher),)


def _last_k(student: int, teacher: int, last: int) -> Pairs:
    return tuple((i, i + teacher - student) for i in range(max(student - last, 0) + 1, student + 1))


def _uniform(student: int, teacher: int, last: int) -> Pairs:
    return tuple((i, i * teacher // student) for i in range(1, student + 1))


def _uniform_consecutive(student: int, teacher: int, last: int) -> Pairs:
    width = -(-teacher // student)
    pairs = []
    for i in range(1, student + 1):
        layers = range(min(width * (i - 1), teacher), min(width * i, teacher) + 1)
        pairs += [(i, j) for j in layers]
    return tuple(pairs)


def _uniform_last(student: int, teacher: int, last: int) -> Pairs:
    both = [*_uniform(student, teacher, last), *_last_k(student, teacher, student)]
    return tuple(sorted(set(both)))


MAPPINGS = {
    mapping.name: mapping
    for mapping in (
        Mapping("last", "{T} for i = S alone", _last),
        Mapping("last-k", "{i + T - S} for the last K layers", _last_k),
        Mapping("uniform", "{floor(i T / S)}", _uniform),
        Mapping("uniform-consecutive", "{k (i - 1), ..., k i}, k = ceil(T / S), up to T", _uniform_consecutive),
        Mapping("uniform-last", "{floor(i T / S), i + T - S}", _uniform_last),
    )
}


def map_layers(name: str, student: int, teacher: int, last: int = 1) -> Pairs:
    """Return the pairs (student layer, teacher layer) of a mapping.

    Args:
        name: Name of the mapping.
        student: Layers of the student.
        teacher: Layers of the teacher.
        last: The K of `last-k`.

    Raises:
        ValueError: The student has more layers than the teacher, or there is no such mapping.
    """
    if name not in MAPPINGS:
        raise ValueError(f"mapping must be one of {', '.join(MAPPINGS)}, not {name!r}")
    if student > teacher and name != "last":
        raise ValueError(
            f"mapping {name!r} needs a teacher with as many layers as the student: {teacher} there, {student} here; "
            "'last' works with any number"
        )
    return MAPPINGS[name].pairs(student, teacher, last)
