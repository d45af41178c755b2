"""Options of the verbs that read labelled utterances: how they are read, which goes into their specification."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

_PANEL = "How the data are read"
# Parameters of commands that are specifications of data, and those that are lists of them.
_SPECS, _LISTS = ("data", "dev"), ("unlabelled", "old_data")

SkipBadRowsOption = Annotated[
    bool,
    typer.Option(
        "--skip-bad-rows",
        help="Leave out rows that are wrong, and say how many and why, instead of refusing the data.",
        rich_help_panel=_PANEL,
    ),
]
TextColumnOption = Annotated[
    str | None,
    typer.Option(
        "--text-column",
        help="Column (CSV, TSV) or key (JSON) of the texts, or its number from 1 where columns have no names.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
IntentColumnOption = Annotated[
    str | None,
    typer.Option("--intent-column", help="The same for the intents.", show_default=False, rich_help_panel=_PANEL),
]
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "skip_bad_rows": (SkipBadRowsOption, False),
    "text_column": (TextColumnOption, None),
    "intent_column": (IntentColumnOption, None),
}


def reads_data(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say how its data are read.

    What they say becomes part of `data` and `dev`, so that whatever reads these again later reads the same. Further
    data may have other columns, so for these only bad rows are left out.
    """

    @functools.wraps(function)
    def command(**given: Any) -> None:
        from pqrnn.data.reading import ReadOptions
        from pqrnn.data.specs import add_options

        chosen = {name: given.pop(name) for name in _OPTIONS}
        options = ReadOptions(chosen["skip_bad_rows"], chosen["text_column"] or "", chosen["intent_column"] or "")
        for name in _SPECS:
            if given.get(name):
                given[name] = add_options(given[name], options)
        rows = ReadOptions(skip_bad_rows=options.skip_bad_rows)
        for name in _LISTS:
            if given.get(name):
                given[name] = [add_options(each, rows) for each in given[name]]
        function(**given)

    own = inspect.signature(function, eval_str=True).parameters.values()
    kind = inspect.Parameter.KEYWORD_ONLY
    made = [inspect.Parameter(name, kind, default=start, annotation=what) for name, (what, start) in _OPTIONS.items()]
    parameters = [*(each.replace(kind=kind) for each in own), *made]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command
