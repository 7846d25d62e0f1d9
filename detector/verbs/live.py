"""run and record: the daemon."""

from __future__ import annotations

import argparse

from detector.arguments import Verbs, add_verb, load_settings


def run(verbs: Verbs) -> None:
    add_verb(verbs, "run", "Subscribe, score, export. The daemon.", _live, takes_settings=True)


def record(verbs: Verbs) -> None:
    what = "Subscribe and write every step to Parquet, the trainer's food, until stopped."
    parser = add_verb(verbs, "record", what, _recorded, takes_settings=True)
    raw = "write messages as they came, too (NDJSON), and acknowledge them when they are on the disk"
    parser.add_argument("--raw", action="store_true", help=raw)


def _recorded(asked: argparse.Namespace) -> int:
    if asked.raw:
        asked.flags["record.raw"] = "true"
    return _live(asked, recording=True)


def _live(asked: argparse.Namespace, *, recording: bool = False) -> int:
    from detector import logs  # noqa: PLC0415
    from detector.daemon import Daemon  # noqa: PLC0415

    settings = load_settings(asked)
    logs.setup(settings.log.format, settings.log.level)
    return Daemon(settings, recording=recording).run()
