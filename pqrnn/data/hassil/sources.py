"""Reading Home Assistant's sentences: the installed package, and YAML files of users."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from pqrnn.data.locales import is_locale, match_locale
from pqrnn.errors import DataFormatError, DataNotFoundError, MissingExtraError

_HOMES = Path(__file__).with_name("homes")
_LARGEST = 16 << 20  # bytes of a file
_SECTIONS = ("intents", "lists", "expansion_rules")
_KNOWN = {*_SECTIONS, "language", "settings", "skip_words", "responses", "fillers", "articles"}


class SentenceFile(NamedTuple):
    """A file of sentences.

    Attributes:
        name: What messages call it.
        text: Its text, for finding lines; empty for files of the installed package.
        document: What it holds.
    """

    name: str
    text: str
    document: dict[str, Any]

    def line_of(self, piece: str) -> int | None:
        """Return the line, counted from 1, in which a piece of text stands, or None."""
        at = self.text.find(piece) if piece else -1
        return None if at < 0 else self.text.count("\n", 0, at) + 1


def require_hassil() -> None:
    """Say which extra to install where the libraries are absent.

    Raises:
        MissingExtraError: They are not installed.
    """
    missing = [name for name in ("hassil", "home_assistant_intents") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"this needs {', '.join(missing)}, which the base install leaves out: pip install 'pqrnn[hassil]'"
        )


def read_sources(spec: str) -> tuple[list[SentenceFile], str]:
    """Return the files that a specification names, and their language.

    Raises:
        DataNotFoundError: There is no such language, file or folder, or no language is said.
        DataFormatError: A file is not of the form, or two are of different languages.
    """
    files: list[SentenceFile] = []
    language = ""
    for part in filter(None, spec.split("+")):
        path = Path(part)
        if path.exists():
            found, said = _read_path(path)
        elif is_locale(part):
            found, said = [_read_package(part)], part
        else:
            raise DataNotFoundError(
                f"hassil:{spec}: {part!r} is neither a language, as in hassil:de, nor a file or folder of sentences"
            )
        if said and language and not match_locale(language, said) and not match_locale(said, language):
            raise DataFormatError(found[0].name, None, f"the language {said!r}", f"{language!r}, as in the others")
        files += found
        language = language or said
    if not files:
        raise DataNotFoundError("hassil: name a language, as in hassil:de, or a folder of sentences")
    if not language:
        raise DataNotFoundError(f"hassil:{spec}: no file says its language; write `language: en` into one")
    return files, language


def read_home(language: str) -> SentenceFile | None:
    """Return the home of a language that comes with this package, or None."""
    for path in sorted(_HOMES.glob("*.yaml")):
        if match_locale(language, path.stem) or match_locale(path.stem, language):
            return _read_file(path)
    return None


def home_languages() -> tuple[str, ...]:
    """Return the languages that have a home."""
    return tuple(path.stem for path in sorted(_HOMES.glob("*.yaml")))


def _read_package(language: str) -> SentenceFile:
    from home_assistant_intents import get_intents, get_languages

    known = sorted(get_languages())
    name = next((each for each in known if each.casefold() == language.replace("_", "-").casefold()), None)
    name = name or next((each for each in known if match_locale(language, each)), None)
    document = get_intents(name) if name else None
    if document is None:
        raise DataNotFoundError(
            f"hassil:{language}: home-assistant-intents has no sentences of this language; it has {', '.join(known)}"
        )
    return SentenceFile(f"home-assistant-intents {name}", "", json.loads(json.dumps(document)))


def _read_path(path: Path) -> tuple[list[SentenceFile], str]:
    paths = [path] if path.is_file() else sorted([*path.rglob("*.yaml"), *path.rglob("*.yml")])
    if not paths:
        raise DataNotFoundError(f"{path}: there is no YAML file in this folder")
    files = [_read_file(each) for each in paths]
    said = {language: each.name for each in files if (language := each.document.get("language"))}
    if len(said) > 1:
        names = ", ".join(f"{language} ({name})" for language, name in said.items())
        raise DataFormatError(path, None, f"several languages: {names}", "one", "name the folder of one language")
    by_name = path.name if is_locale(path.name) else ""
    return files, next(iter(said), by_name)


def _read_file(path: Path) -> SentenceFile:
    import yaml

    try:
        if path.stat().st_size > _LARGEST:
            raise DataFormatError(path, None, f"more than {_LARGEST >> 20} MiB", "a file of sentences")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataNotFoundError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise DataFormatError(path, None, "what is not UTF-8", "UTF-8") from error
    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or str(error)
        raise DataFormatError(path, mark.line + 1 if mark else None, f"no YAML: {said}", "YAML") from error
    except RecursionError as error:
        raise DataFormatError(path, None, "YAML that is nested too deep", "YAML") from error
    found = SentenceFile(str(path), text, document if document is not None else {})
    _check_sections(found)
    return found


def _check_sections(file: SentenceFile) -> None:
    document = file.document
    if not isinstance(document, dict):
        raise DataFormatError(file.name, None, type(document).__name__, "keys: language, intents, lists, …")
    for key in document:
        if key not in _KNOWN:
            expected = ", ".join(sorted(_KNOWN))
            raise DataFormatError(file.name, file.line_of(f"{key}:"), f"the key {key!r}", f"one of {expected}")
    for key in _SECTIONS:
        if document.get(key) is None:
            document.pop(key, None)
        elif not isinstance(document[key], dict):
            raise DataFormatError(file.name, file.line_of(f"{key}:"), f"{key} that has no keys", "names with values")
    if not isinstance(document.get("language", ""), str):  # `no` is a boolean in YAML
        raise DataFormatError(
            file.name, file.line_of("language:"), f"the language {document['language']!r}", "text", "write it in quotes"
        )
