"""demo: the whole product at work."""

from __future__ import annotations

import argparse
from pathlib import Path

from detector.arguments import Verbs, add_verb


def demo(verbs: Verbs) -> None:
    parser = add_verb(verbs, "demo", "The whole product at work on a simulated fabric, in minutes.", _demoed)
    parser.add_argument("--directory", type=Path, default=Path(".demo"), help="what it makes (default .demo)")
    parser.add_argument("--seed", type=int, default=5537, help="the story; this one has no small faults")
    parser.add_argument("--port", type=int, default=9798, help="of the daemon's pages (default 9798)")


def _demoed(asked: argparse.Namespace) -> int:
    from detector import demo  # noqa: PLC0415

    return demo.demo(asked.directory, asked.seed, asked.port)
