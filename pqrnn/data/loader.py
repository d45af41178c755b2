"""One way to load labelled utterances, whatever they are written in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pqrnn.data import formats
from pqrnn.data.examples import Example
from pqrnn.data.formats.base import DataFormat, Row
from pqrnn.data.layout import Candidate, list_candidates
from pqrnn.data.locales import match_locale
from pqrnn.data.splits import ALL, SPLITS, normalise_split
from pqrnn.data.textfile import read_head, read_lines, split_lines
from pqrnn.errors import DataFormatError, DataNotFoundError

GRAMMAR = "grammar"
BUILT_IN = "home"
_LISTED = 12


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Where data are: ``PATH``, ``format:PATH``, ``grammar:FILE`` or ``home[:locale]``, taken apart.

    Attributes:
        format: The name of a format, ``grammar``, ``home``, or ``""`` where it is to be guessed.
        path: The path, or for ``home`` the locale or ``""``.
    """

    format: str
    path: str


def parse_spec(spec: str) -> DataSpec:
    """Take a specification apart.

    A path that exists is a path, even with a colon in it; the built-in set is meant by ``home`` (a folder of that name
    is ``./home``).

    Raises:
        DataNotFoundError: The specification is empty, or has an unknown format before its colon.
    """
    prefix, colon, rest = spec.partition(":")
    if not spec:
        raise DataNotFoundError("no data named; give a path, format:PATH, or `home` for the built-in set")
    if prefix == BUILT_IN:
        return DataSpec(BUILT_IN, rest)
    if colon and (prefix in formats.BY_NAME or prefix == GRAMMAR) and rest:
        return DataSpec(prefix, rest)
    if colon and len(prefix) > 1 and "/" not in prefix and "\\" not in prefix and not Path(spec).exists():
        names = ", ".join((*formats.BY_NAME, GRAMMAR, BUILT_IN))
        raise DataNotFoundError(f"{spec}: {prefix!r} is no data format, and there is no such path; formats are {names}")
    return DataSpec(GRAMMAR if spec.endswith(".toml") else "", spec)


def load_examples(spec: str, *, split: str, locale: str | None = None) -> list[Example]:
    """Load one split of labelled utterances, in the order of the files.

    Args:
        spec: ``PATH`` or ``format:PATH`` (a file, or a folder with one file or folder for each split), ``grammar:FILE``
            (also any ``.toml`` file), or ``home`` for the built-in set (``home:en`` for one language of it).
        split: ``train``, ``dev`` or ``test`` with their usual other names (``eval``, ``valid``, ...), or ``all`` for
            every row there is.
        locale: The languages wanted, as ``en``, ``en-US`` or ``en,de``; None for all.

    Raises:
        DataNotFoundError: There are no such data, or more than one file could be meant; it lists what was found.
        DataFormatError: A file does not hold what its format promises; it names the line.
    """
    split = normalise_split(split)
    parsed = parse_spec(spec)
    if parsed.format == GRAMMAR:
        from pqrnn.data.grammar import load_examples_from_grammar

        return load_examples_from_grammar(parsed.path, split, locale)
    if parsed.format == BUILT_IN:
        from pqrnn.data.home import load_home_examples

        return load_home_examples(split, parsed.path or locale)
    wanted = _split_locales(locale)
    chosen = _choose(parsed, split, wanted)
    found = [row.example for each in chosen for row in _read(each, wanted) if split in (row.split, ALL)]
    if not found:
        raise DataNotFoundError(_explain_nothing(parsed, chosen, [], split, wanted))
    return found


def available_splits(spec: str, *, locale: str | None = None) -> tuple[str, ...]:
    """Return which of ``train``, ``dev`` and ``test`` the data have: none for a file that says nothing about splits.

    Raises:
        DataNotFoundError: There are no such data.
        DataFormatError: A file does not hold what its format promises.
    """
    parsed = parse_spec(spec)
    if parsed.format in {GRAMMAR, BUILT_IN}:
        return SPLITS
    known = _keep_locales(_find_candidates(parsed)[0], _split_locales(locale))
    splits = {each.split for each in known} | _find_splits_inside([each for each in known if not each.split])
    return tuple(each for each in SPLITS if each in splits)


def guess_format(path: Path) -> DataFormat | None:
    """Return the format that a file is written in, judged by its name and its first lines, or None.

    Raises:
        DataNotFoundError: The file cannot be read.
        DataFormatError: It is a damaged gzip file.
    """
    head = [line for line in split_lines(read_head(path)) if line.strip()]
    if not head:
        return None
    name = path.name.removesuffix(".gz")
    return next((each for each in formats.FORMATS if each.recognises(name, head)), None)


def _split_locales(locale: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (locale or "").replace(" ", "").split(",")))


def _find_candidates(spec: DataSpec) -> tuple[list[Candidate], list[Candidate]]:
    """Return the files that could be meant, with their formats, and those in no known format.

    Raises:
        DataNotFoundError: There are none of the first.
    """
    root = Path(spec.path)
    listed = list_candidates(root)
    known, unknown = [], []
    for each in listed:
        found = _find_format(spec, each, root)
        if found is None:
            unknown.append(each)
        else:
            known.append(each.with_format(found))
    if not known:
        raise DataNotFoundError(_explain_unknown(spec, root, listed))
    return known, unknown


def _find_format(spec: DataSpec, candidate: Candidate, root: Path) -> DataFormat | None:
    """Return the format named for a file, or the guessed one.

    A named format is taken at its word for one file, and in a folder for each file that names a split: reading it then
    tells the line that is wrong. Other files of the folder are often something else and are left out.
    """
    if not spec.format:
        return guess_format(candidate.path)
    chosen = formats.BY_NAME[spec.format]
    if root.is_file() or (candidate.split and not chosen.split_is_folder) or guess_format(candidate.path) is chosen:
        return chosen
    return None


def _keep_locales(candidates: list[Candidate], wanted: tuple[str, ...]) -> list[Candidate]:
    """Return the files whose names say one of the locales wanted, or none at all."""
    return [each for each in candidates if not each.locale or _is_wanted(each.locale, wanted)]


def _is_wanted(locale: str, wanted: tuple[str, ...]) -> bool:
    return not wanted or any(match_locale(name, locale) for name in wanted)


def _choose(spec: DataSpec, split: str, wanted: tuple[str, ...]) -> list[Candidate]:
    """Return the files to read for ``split``: at most one for each locale."""
    known, unknown = _find_candidates(spec)
    kept = _keep_locales(known, wanted)
    # A file that does not say its split in its name may say it for each row.
    chosen = (
        kept
        if split == ALL
        else [each for each in kept if each.split == split] or [each for each in kept if not each.split]
    )
    if not chosen:
        raise DataNotFoundError(_explain_nothing(spec, known, unknown, split, wanted))
    seen: dict[tuple[str, str], Candidate] = {}
    for each in chosen:
        twin = seen.setdefault((each.locale, each.split), each)
        if twin is not each:
            what = f"{each.split or split} split{' of ' + each.locale if each.locale else ''}"
            raise DataNotFoundError(
                f"{spec.path}: both {twin.path} and {each.path} could be the {what}; name a folder further down, or "
                "one file"
            )
    return chosen


def _read(candidate: Candidate, wanted: tuple[str, ...]) -> Iterator[Row]:
    """Yield a file's rows in the languages wanted; a row that names no split has the one of its file."""
    assert candidate.format is not None  # only candidates with a format get here
    for example, split in candidate.format.read(read_lines(candidate.path, candidate.locale)):
        if not example.locale or _is_wanted(example.locale, wanted):
            yield Row(example, candidate.split or split)


def _explain_unknown(spec: DataSpec, root: Path, listed: list[Candidate]) -> str:
    """Say that no file is in a known format."""
    if not listed:
        return f"{root}: holds no data files; expected files such as train.jsonl, dev.tsv.gz or test/seq.in"
    what = f"in the format {spec.format!r}" if spec.format else "in a known format"
    names = "; ".join(f"{each.name}: {each.summary}" for each in formats.FORMATS)
    return (
        f"{root}: nothing there is {what}. Looked at {_join(listed)}. Formats are {names}. Say which with format:PATH"
    )


def _explain_nothing(
    spec: DataSpec, known: list[Candidate], unknown: list[Candidate], split: str, wanted: tuple[str, ...]
) -> str:
    """Say that a split or a language is not there, and what is."""
    what = "no rows" if split == ALL else f"no {split} split"
    where = f" for the locale {', '.join(wanted)}" if wanted else ""
    splits = sorted({each.split for each in known if each.split} or _find_splits_inside(known))
    locales = sorted({each.locale for each in known if each.locale})
    parts = [f"{spec.path}: {what}{where}", f"found {_join(known)}"]
    parts.append(
        f"splits are {', '.join(splits)}"
        if splits
        else "no file or row there names a split: use the split `all`, or name the files train..., dev... and test..."
    )
    if locales:
        parts.append(f"locales are {', '.join(locales)}")
    strange = [each for each in unknown if each.split == split]
    if strange:
        parts.append(f"in no known format, say which with format:PATH: {_join(strange)}")
    return "; ".join(parts)


def _find_splits_inside(candidates: list[Candidate]) -> set[str]:
    """Return the splits that rows name; nothing where a file cannot be read, for this only serves another message."""
    try:
        return {row.split for each in candidates for row in _read(each, ()) if row.split}
    except DataFormatError:
        return set()


def _join(candidates: list[Candidate]) -> str:
    """Return the first few paths as one line."""
    shown = ", ".join(str(each.path) for each in candidates[:_LISTED])
    return shown if len(candidates) <= _LISTED else f"{shown} and {len(candidates) - _LISTED} more"
