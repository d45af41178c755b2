"""One way to load labelled utterances, whatever they are written in."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pqrnn.data import formats
from pqrnn.data.examples import Example
from pqrnn.data.explaining import Situation, explain_nothing, explain_unknown
from pqrnn.data.formats.base import DataFormat, Row
from pqrnn.data.layout import Candidate, list_candidates, list_files, may_hold_data
from pqrnn.data.locales import choose_locales
from pqrnn.data.reading import DEFAULTS, ReadOptions, ReadReport
from pqrnn.data.specs import GRAMMAR, HASSIL, MADE, DataSpec, parse_spec
from pqrnn.data.splits import ALL, SPLITS, normalise_split
from pqrnn.data.textfile import read_head, read_lines, split_lines
from pqrnn.errors import DataFormatError, DataNotFoundError

__all__ = ["DataSpec", "available_splits", "guess_format", "load_examples", "parse_spec"]

_TRIED_LINES = 5
_logger = logging.getLogger(__name__)


def load_examples(
    spec: str, *, split: str, locale: str | None = None, report: ReadReport | None = None
) -> list[Example]:
    """Load one split of labelled utterances, in the order of the files.

    Args:
        spec: ``PATH`` or ``format:PATH`` (a file, or a folder with one file or folder for each split), ``grammar:FILE``
            (also any ``.toml`` file), ``home`` for the built-in set (``home:en`` for one language of it), or
            ``hassil:SOURCE`` for sentences of Home Assistant (`pqrnn.data.hassil`). Options may follow a question mark:
            ``PATH?skip-bad-rows&text-column=utterance`` (`pqrnn.data.specs`).
        split: ``train``, ``dev`` or ``test`` with their usual other names (``eval``, ``valid``, ...), or ``all`` for
            every row there is.
        locale: The languages wanted, as ``en``, ``en-US`` or ``en,de``; None for all. Where rows or files say their
            language, those that say none are left out; data that never do are taken to be of the language wanted.
        report: Is told what was not read. Without one, rows left out as wrong are logged as a warning.

    Raises:
        DataNotFoundError: There are no such data, or more than one file could be meant; it lists what was found.
        DataFormatError: A file does not hold what its format promises; it names the line, and how many are wrong.
    """
    split = normalise_split(split)
    parsed = parse_spec(spec)
    if parsed.format in MADE:
        return _load_grammar(parsed, split, locale)
    account = ReadReport() if report is None else report
    wanted = _split_locales(locale)
    chosen, known = _choose(parsed, split, wanted, account)
    rows = [row for each in chosen for row in _read(each, parsed.options, account)]
    problem = None if parsed.options.skip_bad_rows else account.first_problem()
    if problem is not None:
        raise problem
    kept = rows if _is_silent(rows, known) else _keep_wanted(rows, wanted, account)
    found = [row.example for row in kept if split in (row.split, ALL)]
    if not found:
        read = " (rows that are wrong were left out)" if account.problems else ""
        raise DataNotFoundError(explain_nothing(parsed, Situation(known, [], _splits_of(rows)), split, wanted) + read)
    if report is None and account.problems:
        _logger.warning("%s: %s", spec, account.describe_problems())
    return found


def available_splits(spec: str, *, locale: str | None = None) -> tuple[str, ...]:
    """Return which of ``train``, ``dev`` and ``test`` the data have: none for a file that says nothing about splits.

    Raises:
        DataNotFoundError: There are no such data.
        DataFormatError: A file does not hold what its format promises.
    """
    parsed = parse_spec(spec)
    if parsed.format in MADE:
        return SPLITS
    known = _keep_locales(_find_candidates(parsed)[0], _split_locales(locale))
    splits = {each.split for each in known}
    splits |= _find_splits_inside([each for each in known if not each.split], parsed.options)
    return tuple(each for each in SPLITS if each in splits)


def guess_format(path: Path, options: ReadOptions = DEFAULTS, *, alone: bool = False) -> DataFormat | None:
    """Return the format that a file is written in, judged by its name and its first lines, or None.

    Args:
        path: The file.
        options: What the user says of its columns.
        alone: The file was named by itself, so one whose first line is wrong is judged by the next ones, too.

    Raises:
        DataNotFoundError: The file cannot be read.
        DataFormatError: It is a damaged gzip file.
    """
    head = [line for line in split_lines(read_head(path)) if line.strip()]
    name = path.name.removesuffix(".gz")
    for start in range(min(len(head), _TRIED_LINES if alone else 1)):
        for each in formats.FORMATS:
            if (options.text_column or options.intent_column) and each.recognises_columns is not None:
                if each.recognises_columns(name, head[start:], options):
                    return each
            elif each.recognises(name, head[start:]) and not (start and each.secondary):
                return each
    return None


def _load_grammar(spec: DataSpec, split: str, locale: str | None) -> list[Example]:
    if spec.options.text_column or spec.options.intent_column:
        raise DataNotFoundError(f"{spec.format}: a grammar has no columns to be named")
    if spec.format == GRAMMAR:
        from pqrnn.data.grammar import load_examples_from_grammar

        return load_examples_from_grammar(spec.path, split, locale)
    if spec.format == HASSIL:
        from pqrnn.data.hassil import load_hassil_examples

        return load_hassil_examples(spec.path, split, locale)
    from pqrnn.data.home import load_home_examples

    return load_home_examples(split, spec.path or locale)


def _split_locales(locale: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (locale or "").replace(" ", "").split(",")))


def _find_candidates(spec: DataSpec, report: ReadReport | None = None) -> tuple[list[Candidate], list[Candidate]]:
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
    # A broad mark counts only where nothing else does; what was put aside can be named with its format.
    main = [each for each in known if each.format is not None and not each.format.secondary]
    aside = [each for each in known if each not in main] if main and not spec.format else []
    if report is not None:
        _account_files(root, [*unknown, *aside], report)
    if not known:
        raise DataNotFoundError(explain_unknown(spec, root, listed))
    return [each for each in known if each not in aside], unknown


def _account_files(root: Path, left: Sequence[Candidate], report: ReadReport) -> None:
    """Tell a report which files there are, and why some are not read."""
    reasons = {each.path: f"format {each.format.name}" if each.format else "in no known format" for each in left}
    for path in list_files(root):
        report.files[path] = reasons.get(path, "" if may_hold_data(path) else f"{path.suffix} is no data file")


def _find_format(spec: DataSpec, candidate: Candidate, root: Path) -> DataFormat | None:
    """Return the format named for a file, or the guessed one.

    A named format is taken at its word for one file, and in a folder for each file that names a split: reading it then
    tells the line that is wrong. Other files of the folder are often something else and are left out.
    """
    alone = root.is_file()
    if not spec.format:
        return guess_format(candidate.path, spec.options, alone=alone)
    chosen = formats.BY_NAME[spec.format]
    by_name = candidate.split and not chosen.split_is_folder
    if alone or by_name or guess_format(candidate.path, spec.options) is chosen:
        return chosen
    return None


def _keep_locales(candidates: list[Candidate], wanted: tuple[str, ...]) -> list[Candidate]:
    """Return the files whose names say one of the locales wanted, or whose rows may: those that say none."""
    chosen = choose_locales(wanted, (each.locale for each in candidates))
    return [each for each in candidates if not wanted or not each.locale or each.locale in chosen]


def _is_silent(rows: Sequence[Row], known: Sequence[Candidate]) -> bool:
    """Say whether neither rows nor files say a language: then they are taken to be of the one that is wanted."""
    return not any(row.example.locale for row in rows) and not any(each.locale for each in known)


def _keep_wanted(rows: list[Row], wanted: tuple[str, ...], report: ReadReport) -> list[Row]:
    """Return the rows in the languages wanted."""
    if not wanted:
        return rows
    chosen = choose_locales(wanted, {row.example.locale for row in rows})
    report.unlabelled = max(report.unlabelled, sum(not row.example.locale for row in rows))
    return [row for row in rows if row.example.locale in chosen]


def _choose(
    spec: DataSpec, split: str, wanted: tuple[str, ...], report: ReadReport
) -> tuple[list[Candidate], list[Candidate]]:
    """Return the files to read for ``split``, and all in a known format.

    There is at most one for each locale, but for formats of several parts.
    """
    known, unknown = _find_candidates(spec, report)
    kept = _keep_locales(known, wanted)
    if wanted and any(each.locale for each in known) and (named := [each for each in kept if each.locale]):
        # Beside files that say their language, one that says none may be in any.
        kept = named
    # A file that does not say its split in its name may say it for each row.
    chosen = (
        kept
        if split == ALL
        else [each for each in kept if each.split == split] or [each for each in kept if not each.split]
    )
    for each in known:
        report.files[each.path] = "another language" if each not in kept else "names no split, as others do"
    if not chosen:
        raise DataNotFoundError(
            explain_nothing(spec, Situation(known, unknown, _find_splits_inside(known, spec.options)), split, wanted)
        )
    seen: dict[tuple[str, str], Candidate] = {}
    for each in chosen:
        twin = seen.setdefault((each.locale, each.split), each)
        if twin is not each and not (each.format is twin.format and each.format is not None and each.format.merges):
            what = f"{each.split or split} split{' of ' + each.locale if each.locale else ''}"
            raise DataNotFoundError(
                f"{spec.path}: both {twin.path} and {each.path} could be the {what}; name a folder further down, or "
                "one file"
            )
    return chosen, known


def _read(candidate: Candidate, options: ReadOptions, report: ReadReport) -> Iterator[Row]:
    """Yield a file's rows; one that names no split has the one of its file.

    What is wrong with rows is left in the report. So is what is wrong with the file, unless bad rows are to be left
    out: then it is raised, for a file is more than a row.
    """
    assert candidate.format is not None  # only candidates with a format get here
    report.counting = candidate.path not in report.read
    report.read.add(candidate.path)
    for name in candidate.format.beside:
        report.read |= {candidate.path.with_name(name), candidate.path.with_name(f"{name}.gz")}
    try:
        for example, split in candidate.format.read(read_lines(candidate.path, candidate.locale, options, report)):
            yield Row(example, candidate.split or split)
    except DataFormatError as error:
        if options.skip_bad_rows:
            raise
        report.add(error)
    except DataNotFoundError:
        problem = None if options.skip_bad_rows else report.first_problem()
        if problem is not None:  # a file that is not even text is the better reason
            raise problem from None
        raise


def _splits_of(rows: Sequence[Row]) -> set[str]:
    return {row.split for row in rows if row.split}


def _find_splits_inside(candidates: Sequence[Candidate], options: ReadOptions) -> set[str]:
    """Return the splits that rows name; nothing of what is wrong counts, for loading says it."""
    account, lenient = ReadReport(), replace(options, skip_bad_rows=False)
    return _splits_of([row for each in candidates for row in _read(each, lenient, account)])
