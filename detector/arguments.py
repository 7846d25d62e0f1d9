"""The grammar of the command line: verbs, exit codes, and settings as flags."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from detector.settings import Settings  # takes a third of a second, which `--help` does not have

OK, FAILED, USAGE, WRONG_CONFIG = 0, 1, 2, 78
CONFIG = Path("/etc/detector/detector.toml")

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 -- it has no public name


def add_verb(
    verbs: Verbs,
    name: str,
    what: str,
    do: Callable[[argparse.Namespace], int],
    *,
    takes_settings: bool = False,
) -> argparse.ArgumentParser:
    """Add a verb; `do` gets what was asked and returns the exit code."""
    epilog = (
        "Every setting is also a flag: --mqtt.host broker, --http.port 9798, ..." if takes_settings else None
    )
    parser = verbs.add_parser(name, help=what, description=what, epilog=epilog, allow_abbrev=False)
    parser.set_defaults(verb=do, takes_settings=takes_settings)
    if takes_settings:
        parser.add_argument(
            "--config", type=Path, metavar="FILE", help=f"settings; default {CONFIG} where it is"
        )
    return parser


def take_flags(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Take `--section.key value` and `--section.key=value` out of the arguments; return them and the rest.

    Before argparse, which would take the value of a flag that it does not know for an argument of the verb.

    Raises:
        SystemExit: A flag has no value.
    """
    flags: dict[str, str] = {}
    words: list[str] = []
    rest = iter(arguments)
    for word in rest:
        key, equals, value = word.removeprefix("--").partition("=")
        if word == "--":
            return flags, [*words, word, *rest]
        if not word.startswith("--") or "." not in key:
            words.append(word)
        elif not equals and (value := next(rest, "--")).startswith("--"):
            raise SystemExit(usage(f"--{key} needs a value"))
        else:
            flags[key] = value
    return flags, words


def usage(problem: str) -> int:
    """Say what is wrong with the command line; return the exit code for it."""
    sys.stderr.write(f"detector: {problem}; see detector --help\n")
    return USAGE


def load_settings(asked: argparse.Namespace) -> Settings:
    """Return the settings of the file and the flags that were asked for.

    Raises:
        SettingsError: They cannot be used.
    """
    from detector import settings  # noqa: PLC0415 -- pydantic takes 0.2 s

    path = asked.config or (CONFIG if CONFIG.exists() else None)
    return settings.load(path, asked.flags)


def positive(text: str) -> int:
    """Return an integer above 0, for argparse."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def natural(text: str) -> int:
    """Return an integer of 0 or more, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def cores() -> int:
    """Return how many processes may run at once on this machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def above_zero(text: str) -> float:
    """Return a number above 0, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number
