"""A tokenizer with fewer pieces: those that texts use, the special ones, and single characters of the same scripts.

Of a large vocabulary a small student would be nothing but embeddings. The pieces that are kept cut the texts exactly as
all of them do (which is checked); a word that the texts lack is cut into smaller pieces.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from pqrnn.errors import TeacherError

_BLOCK = 7  # characters whose code points differ in the last so many bits are of one script, roughly
_MARKS = ("##", "\u2581", "\u0120")  # begin pieces inside of words, or after a space


class Vocabulary(NamedTuple):
    """A tokenizer with fewer pieces.

    Attributes:
        kept: Former ids of the pieces, by their new ids.
        tokenizer: The tokenizer, of the Hugging Face library, with the new ids.
    """

    kept: list[int]
    tokenizer: Any


def keep_all(tokenizer: Any) -> Vocabulary:
    """Return a tokenizer as it is."""
    return Vocabulary(list(range(len(tokenizer))), tokenizer)


def prune_vocabulary(tokenizer: Any, words: Sequence[bytes]) -> Vocabulary:
    """Return a tokenizer that has only the pieces that words need.

    Args:
        tokenizer: Tokenizer of the Hugging Face library, of the kinds WordPiece (BERT) or Unigram (XLM-R).
        words: Distinct words of all texts.

    Raises:
        TeacherError: The tokenizer is of another kind, or cuts some word otherwise with fewer pieces.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise TeacherError("this tokenizer is not one of the library `tokenizers`, so it cannot be pruned (--no-prune)")
    document = json.loads(tokenizer.backend_tokenizer.to_str())
    kind = document["model"]["type"]
    if kind not in ("WordPiece", "Unigram"):
        raise TeacherError(
            f"this tokenizer is of the kind {kind}, and only WordPiece and Unigram can be pruned; --no-prune keeps all "
            f"of its {len(tokenizer):,} pieces"
        )
    texts = [f" {word.decode('utf-8', 'replace')}" for word in words]
    before = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    used = {piece for ids in before for piece in ids}
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    special = {*tokenizer.all_special_ids, *(token["id"] for token in document["added_tokens"])}
    blocks = {ord(character) >> _BLOCK for piece in used for character in _strip(pieces[piece])}
    single = {
        number
        for number, piece in enumerate(pieces)
        if piece is not None
        and len(_strip(piece)) <= 1
        and (piece in _MARKS or {ord(each) >> _BLOCK for each in _strip(piece)} <= blocks)
    }
    kept = sorted(number for number in used | special | single if pieces[number] is not None)
    pruned = _rebuild(tokenizer, _renumber(document, pieces, kept))
    after = pruned(texts, add_special_tokens=False)["input_ids"] if texts else []
    for text, old, new in zip(texts, before, after, strict=True):
        if [kept[piece] for piece in new] != list(old):
            raise TeacherError(f"the pruned tokenizer cuts {text.strip()!r} otherwise than all of it; use --no-prune")
    return Vocabulary(kept, pruned)


def _strip(piece: str) -> str:
    for mark in _MARKS:
        if piece.startswith(mark) and piece != mark:
            return piece.removeprefix(mark)
    return piece


def _renumber(document: dict[str, Any], pieces: Sequence[str], kept: Sequence[int]) -> dict[str, Any]:
    """Return the description of a tokenizer with new ids, wherever it names one."""
    changed = copy.deepcopy(document)
    new = {pieces[old]: number for number, old in enumerate(kept)}
    model = changed["model"]
    if model["type"] == "WordPiece":
        model["vocab"] = new
    else:
        scores = {piece: score for piece, score in model["vocab"]}
        unknown = model["vocab"][model["unk_id"]][0] if model.get("unk_id") is not None else None
        least = min(scores.values(), default=0.0)
        model["vocab"] = [[pieces[old], scores.get(pieces[old], least)] for old in kept]
        model["unk_id"] = None if unknown is None else new[unknown]
    for token in changed["added_tokens"]:
        token["id"] = new[token["content"]]
    _renumber_processor(changed.get("post_processor"), new)
    changed["padding"] = changed["truncation"] = None
    return changed


def _renumber_processor(processor: Any, new: dict[str, int]) -> None:
    """Give the tokens that are put around a text their new ids."""
    if not isinstance(processor, dict):
        return
    for part in processor.get("processors", []):
        _renumber_processor(part, new)
    for token in processor.get("special_tokens", {}).values() if processor.get("type") == "TemplateProcessing" else ():
        token["ids"] = [new[piece] for piece in token["tokens"]]
    for end in ("sep", "cls"):
        if isinstance(processor.get(end), list):
            processor[end] = [processor[end][0], new[processor[end][0]]]


def _rebuild(tokenizer: Any, document: dict[str, Any]) -> Any:
    """Return a tokenizer of this description with the special tokens of another one."""
    import transformers
    from tokenizers import Tokenizer

    names = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
    given = {name: value for name in names if (value := getattr(tokenizer, name, None)) is not None}
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(document, ensure_ascii=False)),
        model_max_length=tokenizer.model_max_length,
        **given,
    )
    return made
