"""The options of `serve` and `wyoming` on a board's command line; this module loads nothing."""

import argparse
from collections.abc import Callable
from typing import Any


def add_services(
    verbs: Any,
    add_verb: Callable[..., argparse.ArgumentParser],
    whole: Callable[[str], int],
    share: Callable[[str], Any],
) -> None:
    """Add `serve` and `wyoming` to a command line.

    Args:
        verbs: The verbs.
        add_verb: What adds one.
        whole: What reads a number of at least 1.
        share: What reads a probability, or ``recommended``.
    """
    serve = add_verb(
        verbs,
        "serve",
        _serve,
        "answer over HTTP with JSON until Ctrl-C or SIGTERM; needs the packages of the extra 'serve'",
        "pqrnn serve home.pqrnn --workers 2",
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1: this machine)")
    serve.add_argument("--port", type=_port, default=8080, help="port; 0 for any that is free (default 8080)")
    serve.add_argument("--workers", type=whole, default=1, metavar="N", help="processes that parse (default 1)")
    serve.add_argument("--token-file", metavar="FILE", help="the token that requests bring; else $PQRNN_TOKEN")
    serve.add_argument("--batch", type=whole, default=256, metavar="N", help="most texts in a request (default 256)")
    wyoming = add_verb(
        verbs,
        "wyoming",
        _wyoming,
        "answer Home Assistant until Ctrl-C or SIGTERM; needs the package of the extra 'wyoming'",
        "pqrnn wyoming home.pqrnn --language en",
    )
    wyoming.add_argument("more", nargs="*", help="further packages, as LANGUAGE=PACKAGE")
    wyoming.add_argument(
        "--uri",
        default="tcp://127.0.0.1:10500",
        help="where to listen: tcp://HOST:PORT or unix://PATH (default tcp://127.0.0.1:10500)",
    )
    wyoming.add_argument("--language", default="", help="language of the package, or write LANGUAGE=PACKAGE")
    wyoming.add_argument(
        "--ignore", action="append", metavar="INTENT", help="an intent that is not recognized (default none)"
    )
    wyoming.add_argument(
        "--values", metavar="FILE", help="names of slots, texts with their values, kinds of slots: TOML, or JSON"
    )
    wyoming.add_argument("--all", action="store_true", help="a text may hold several commands: recognize each of them")
    for verb in (serve, wyoming):
        verb.add_argument(
            "--queue", type=whole, default=1024, metavar="N", help="most texts that wait in a process (default 1024)"
        )
        verb.add_argument(
            "--min-score",
            type=share,
            metavar="P",
            help="least score of what is not rejected, or the threshold that is `recommended` (default: nothing is)",
        )
        verb.add_argument(
            "--engine",
            choices=("auto", "iree", "native"),
            default="auto",
            help="what runs it: IREE's runtime, the package's native library, or by default the library where it runs",
        )
        verb.add_argument("--truncate", action="store_true", help="read what fits of a text that is too long")


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number}: expected 0 to 65535")
    return number


def _serve(options: argparse.Namespace) -> int:
    from runtime_py.service.commands import run_http
    from runtime_py.service.settings import ServiceSettings

    settings = ServiceSettings(
        package=options.package,
        variant=options.variant,
        engine=options.engine,
        truncate=options.truncate,
        min_score=options.min_score,
        queue=options.queue,
        batch=options.batch,
    )
    return run_http(
        settings,
        host=options.host,
        port=options.port,
        workers=options.workers,
        token_file=options.token_file,
        json=options.json,
    )


def _wyoming(options: argparse.Namespace) -> int:
    from runtime_py.service.commands import run_wyoming
    from runtime_py.service.settings import ServiceSettings
    from runtime_py.service.wyoming_server import split_language

    packages = [split_language(each) for each in (options.package, *options.more)]
    if options.language:
        packages[0] = (options.language, packages[0][1])
    settings = ServiceSettings(
        package=packages[0][1],
        variant=options.variant,
        engine=options.engine,
        truncate=options.truncate,
        min_score=options.min_score,
        queue=options.queue,
    )
    return run_wyoming(
        packages,
        settings,
        uri=options.uri,
        ignored=options.ignore or ["none"],
        values=options.values,
        several=options.all,
        json=options.json,
    )
