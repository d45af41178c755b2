"""`pqrnn serve` and `pqrnn wyoming`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.locate import find_package
from pqrnn.cli.options import DeviceOption, EngineOption, JsonOption, PackageArgument, VariantOption, read_share

QueueOption = Annotated[
    int, typer.Option("--queue", min=1, help="Most texts that wait in a process; more are refused at once.")
]
TruncateOption = Annotated[
    bool, typer.Option("--truncate", help="Read what fits of a text that is too long, instead of refusing it.")
]


MinScoreOption = Annotated[
    str | None,
    typer.Option(
        "--min-score",
        help="Reject what is less probable: a number from 0 to 1, or `recommended` for the threshold of the package's "
        "calibration.",
        show_default=False,
    ),
]


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)


@app.command(
    epilog="""Example:  `pqrnn serve home.pqrnn --workers 2`  then
`curl -H 'content-type: application/json' -d '{"text": "dim the bedroom lamp"}' localhost:8080/v1/parse`"""
)
def serve(
    package: PackageArgument,
    host: Annotated[str, typer.Option(help="Address to listen on; by default, this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that parse.")] = 1,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", help="File with the token that requests have to bring; else $PQRNN_TOKEN."),
    ] = None,
    queue: QueueOption = 1024,
    batch: Annotated[int, typer.Option(min=1, help="Most texts in one request.")] = 256,
    min_score: MinScoreOption = None,
    truncate: TruncateOption = False,
    variant: VariantOption = None,
    device: DeviceOption = "auto",
    engine: EngineOption = "auto",
    json: JsonOption = False,
) -> None:
    """Answer over HTTP with JSON, until Ctrl-C or SIGTERM.

    What is under way then is answered first, and the exit code is 0. /openapi.json describes the service; /metrics is
    for Prometheus. Needs the extra `serve`.
    """
    from runtime_py.service.commands import run_http
    from runtime_py.service.settings import HTTP_NEEDS, ServiceSettings, require_service

    require_service(*HTTP_NEEDS)  # before a parser of the zoo is compiled, which takes minutes
    settings = ServiceSettings(
        package=str(find_package(package)),
        variant=variant,
        device=device,
        engine=engine,
        truncate=truncate,
        min_score=read_share(min_score),
        queue=queue,
        batch=batch,
    )
    _end(run_http(settings, host=host, port=port, workers=workers, token_file=token_file, json=json))


@app.command(epilog="Example:  `pqrnn wyoming en=home-en.pqrnn de=home-de.pqrnn --uri tcp://0.0.0.0:10500`")
def wyoming(
    packages: Annotated[
        list[str],
        typer.Argument(help="Compiled packages or names of the zoo, each with its language: `LANGUAGE=PACKAGE`."),
    ],
    uri: Annotated[str, typer.Option(help="Where to listen: `tcp://HOST:PORT` or `unix://PATH`.")] = (
        "tcp://127.0.0.1:10500"
    ),
    language: Annotated[str, typer.Option(help="Language of the first package, if not written before it.")] = "",
    min_score: MinScoreOption = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="An intent that means nothing, and is not recognized. [default: none]")
    ] = None,
    values: Annotated[
        Path | None,
        typer.Option(
            help="Names of slots, texts with their values, and kinds of slots: TOML, or JSON as `pqrnn data values` "
            "writes it. SIGHUP reads it again.",
            show_default=False,
        ),
    ] = None,
    several: Annotated[
        bool, typer.Option("--all", help="A text may hold several commands, as `lights off and lock the door`.")
    ] = False,
    queue: QueueOption = 1024,
    truncate: TruncateOption = False,
    variant: VariantOption = None,
    device: DeviceOption = "auto",
    engine: EngineOption = "auto",
    json: JsonOption = False,
) -> None:
    """Answer Home Assistant's Wyoming protocol, until Ctrl-C or SIGTERM.

    `recognize` and `transcript` are answered with `intent` or `not-recognized` (with --all, several intents stand
    between `intents-start` and `intents-stop`), `describe` with the languages. An
    intent such as `HassTurnOn(domain=light)` is sent with that slot beside those of the text. Needs the extra
    `wyoming`.
    """
    from runtime_py.service.commands import run_wyoming
    from runtime_py.service.settings import WYOMING_NEEDS, ServiceSettings, require_service
    from runtime_py.service.wyoming_server import split_language

    require_service(*WYOMING_NEEDS)
    parts = [split_language(each) for each in packages]
    if language:
        parts[0] = (language, parts[0][1])
    found = [(each, str(find_package(Path(path)))) for each, path in parts]
    settings = ServiceSettings(
        package=found[0][1],
        variant=variant,
        device=device,
        engine=engine,
        truncate=truncate,
        min_score=read_share(min_score),
        queue=queue,
    )
    _end(run_wyoming(found, settings, uri=uri, ignored=ignore or ["none"], values=values, several=several, json=json))
