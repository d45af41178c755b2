"""The options of `parse` that say what slots stand for, on a board's command line; this module loads nothing."""

import argparse


def add_value_options(verb: argparse.ArgumentParser) -> None:
    """Add them to a verb."""
    verb.add_argument(
        "--normalise",
        action="store_true",
        help="read numbers, times, durations, temperatures and money from slots; needs the extra 'normalise'",
    )
    verb.add_argument(
        "--values", metavar="FILE", help="names of slots, texts with their values, kinds of slots: TOML, or JSON"
    )
    verb.add_argument("--locale", default="", help="language of what is normalised (default the package's, if known)")
    verb.add_argument("--zone", default="", help="time zone of moments, as Europe/Berlin (default none)")
    verb.add_argument("--now", metavar="TIME", help="the time from which 'tomorrow' is counted (default now)")
