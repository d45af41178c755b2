"""The names of the outputs that training data need, and which slots came with which intent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain

from pqrnn.data.alignment import list_intents, list_tags
from pqrnn.data.examples import Example
from pqrnn.dataset.segmented import segment_examples
from runtime_py.decode.frame_search import LONGEST
from runtime_py.decode.labels import Labels
from runtime_py.decode.tags import TagScheme


def list_labels(training: Sequence[Example]) -> Labels:
    """Return the names of the outputs of whatever is trained on these utterances."""
    intents, tags = list_intents(training), list_tags(training, segment_examples(training).spans)
    indices = {label: index for index, label in enumerate(TagScheme(tags).slots)}
    counts = _count_frames(training, intents, indices)
    return Labels(
        intents, tags, tuple(_join(each) for each in counts), tuple(_sort(each) for each in counts) if indices else ()
    )


def _count_frames(
    training: Sequence[Example], intents: Sequence[str], indices: Mapping[str, int]
) -> list[Counter[tuple[int, ...]]]:
    """Return for each intent how often it comes with which slots, as growing indices."""
    seen: dict[str, Counter[tuple[int, ...]]] = {intent: Counter() for intent in intents}
    for example in training:
        if example.intent in seen:
            seen[example.intent][
                tuple(sorted(indices[slot.label] for slot in example.slots if slot.label in indices))
            ] += 1
    return [seen[intent] for intent in intents]


def _join(counts: Counter[tuple[int, ...]]) -> tuple[int, ...]:
    """Return all slots that an intent comes with."""
    return tuple(sorted(set(chain.from_iterable(counts))))


def _sort(counts: Counter[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """Return the counts of frames that are not too long to be counted."""
    return tuple((times, *slots) for slots, times in sorted(counts.items()) if len(slots) <= LONGEST)
