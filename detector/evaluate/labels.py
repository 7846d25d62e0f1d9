"""Labels: a CSV of events, and the signals in which they show.

    start,end,<entity columns>,event,kind[,signals]

Times are UTC, seconds or ISO 8601. Any subset of the entity columns may be there, and any of them may be
empty in a row: a label on a device covers its interfaces. Further columns are ignored. `signals` has names
with spaces between them; where somebody else explained the events, they come from a file of their own,

    start,end,<entity columns>,signals

whose rows tell of every event that they overlap.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from detector.evaluate.events import KINDS, Event, covers
from detector.train.dataset import TIME_MAX_S, DatasetError


def read(path: Path, entity: Sequence[str]) -> list[Event]:
    """Return the events of a file in order of time. `entity` are the entity columns of the dataset.

    Raises:
        OSError: The file cannot be read.
        DatasetError: It is no file of labels; the message names the line.
    """
    events = []
    for where, row in _rows(path, ("start", "end", "event", "kind")):
        if row["kind"] not in KINDS:
            raise DatasetError(f"{where}: kind is {row['kind']!r}, not one of {', '.join(KINDS)}")
        events.append(_event(where, row, entity, row["event"], row["kind"]))
    return sorted(events, key=lambda event: event.start_s)


def spans(path: Path, entity: Sequence[str]) -> list[Event]:
    """Return the times of a file that has no more than `start,end` and entity columns.

    Raises:
        OSError: The file cannot be read.
        DatasetError: It is no such file; the message names the line.
    """
    return [_event(where, row, entity, "", "") for where, row in _rows(path, ("start", "end"))]


def interpreted(events: Sequence[Event], path: Path, entity: Sequence[str]) -> tuple[list[Event], int]:
    """Return events with the signals that a file names for them, and how many of its rows tell of no event.

    Raises:
        OSError: The file cannot be read.
        DatasetError: It is no such file; the message names the line.
    """
    known = [_event(where, row, entity, "", "") for where, row in _rows(path, ("start", "end", "signals"))]
    told = [[one for one in known if _same(event, one)] for event in events]
    used = {id(one) for ones in told for one in ones}
    named = [
        replace(event, signals=tuple(dict.fromkeys([*event.signals, *_all_signals(ones)])))
        for event, ones in zip(events, told, strict=True)
    ]
    return named, len(known) - len(used)


def _same(event: Event, other: Event) -> bool:
    overlap = event.start_s <= other.end_s and other.start_s <= event.end_s
    return overlap and covers(event, other.entity)


def _all_signals(events: Sequence[Event]) -> Iterator[str]:
    for event in events:
        yield from event.signals


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield where each row is, and the row; what it lacks is empty."""
    with path.open(newline="", encoding="utf-8-sig") as lines:
        try:
            reader = csv.DictReader(lines, restval="", strict=True)
            names = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            if missing := [name for name in columns if name not in names]:
                have = ", ".join(names) or "none: the file is empty"
                raise DatasetError(f"{path}: no column `{missing[0]}`; columns: {have}")
            for row in reader:
                if None in row:
                    raise DatasetError(f"{path}:{reader.line_num}: more values than columns")
                yield f"{path}:{reader.line_num}", {name: value.strip() for name, value in row.items()}
        except (csv.Error, UnicodeDecodeError) as error:
            raise DatasetError(f"{path}: {error}") from None


def _event(where: str, row: dict[str, str], entity: Sequence[str], event: str, kind: str) -> Event:
    start_s, end_s = (_time(where, name, row[name]) for name in ("start", "end"))
    if end_s < start_s:
        raise DatasetError(f"{where}: it ends ({row['end']}) before it starts ({row['start']})")
    labels = {name: row[name] for name in entity if row.get(name)}
    return Event(start_s, end_s, event, kind, labels, tuple(row.get("signals", "").split()))


def _time(where: str, name: str, text: str) -> float:
    try:
        time_s = float(text)
    except ValueError:
        try:
            told = datetime.fromisoformat(text)
        except ValueError:
            raise DatasetError(f"{where}: {name} is {text!r}, neither seconds nor ISO 8601") from None
        time_s = (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    if not 0 <= time_s <= TIME_MAX_S:
        raise DatasetError(f"{where}: {name} is {text}, not in seconds between 1970 and 2200")
    return time_s
