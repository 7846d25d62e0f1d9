"""check and health: is all well?"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from detector.arguments import FAILED, OK, Verbs, add_verb, load_settings

if TYPE_CHECKING:
    from detector.settings import Settings


def check(verbs: Verbs) -> None:
    what = "Say whether settings and bundles are good."
    parser = add_verb(verbs, "check", what, _checked, takes_settings=True)
    parser.add_argument(
        "--message",
        nargs=2,
        metavar=("TOPIC", "PAYLOAD"),
        help="show what a message would become; PAYLOAD is text, @FILE or - for stdin",
    )
    capture = "show what a capture would become: of mosquitto_sub -F %%j or -v, or of record --raw"
    parser.add_argument("--capture", type=Path, metavar="FILE", help=capture)


def _checked(asked: argparse.Namespace) -> int:
    from detector import check  # noqa: PLC0415

    settings = load_settings(asked)
    if asked.capture:
        return _surveyed(asked.capture, settings)
    if asked.message:
        topic, payload = asked.message
        lines, good = check.message(settings, topic, _payload(payload))
    else:
        lines, good = check.everything(settings), True
    print("\n".join(lines))
    return OK if good else FAILED


def _surveyed(path: Path, settings: Settings) -> int:
    from detector.edge.capture import Skip, read_capture  # noqa: PLC0415
    from detector.maintenance_settings import switches  # noqa: PLC0415
    from detector.survey import Survey  # noqa: PLC0415

    definitions = [stream.definition() for stream in settings.streams]
    survey = Survey(definitions, settings.mqtt.payload_bytes_max, switches(settings.maintenance))
    skipped = Counter[Skip]()
    for file in sorted(path.rglob("*.ndjson")) if path.is_dir() else [path]:
        survey.take(read_capture(file, skipped))
    print("\n".join(survey.lines()))
    for reason, count in skipped.items():
        print(f"{count} lines of the capture are {reason}", file=sys.stderr)
    return OK if survey.good else FAILED


def _payload(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    return Path(text[1:]).read_bytes() if text.startswith("@") else os.fsencode(text)


def health(verbs: Verbs) -> None:
    what = "Ask a running daemon whether it is healthy; exit 0 or 1."
    parser = add_verb(verbs, "health", what, _ask, takes_settings=True)
    parser.add_argument("--ready", action="store_true", help="and whether broker and subscription are there")


def _ask(asked: argparse.Namespace) -> int:
    import http.client  # noqa: PLC0415

    from detector import check  # noqa: PLC0415

    settings = load_settings(asked).http
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    try:
        line, healthy, ready = check.health(host, settings.port)
    except (OSError, http.client.HTTPException) as error:
        print(f"detector: no daemon answers on {host}:{settings.port}: {error}", file=sys.stderr)
        return FAILED
    print(line)
    return OK if healthy and (ready or not asked.ready) else FAILED
