"""A calendar of maintenance: a file in the iCalendar format (RFC 5545), which every calendar can export.

Events are spans of time; those that repeat do so by their rules, exceptions and moved occurrences among
them. One that is cancelled is none. Times without a zone, and whole days, are of the zone that is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from detector.stream.nouns import Span

if TYPE_CHECKING:  # their import takes a tenth of a second, which those without a calendar do not have
    from icalendar import Calendar

BYTES_MAX: Final = 1 << 20
"""Of a calendar: some three thousand events, and a second to read."""
TOO_OFTEN: Final = frozenset({"SECONDLY", "MINUTELY"})
"""No maintenance repeats so often, and to count its occurrences since it began takes minutes."""
DAY: Final = timedelta(days=1)


class CalendarError(ValueError):
    """A file cannot be used; the message says why."""


class CalendarFile:
    """A calendar file, read again where it has changed. `errors_total` counts how often that failed.

    Args:
        path: The file.
        zone: Of times that have none.

    Raises:
        CalendarError: It cannot be read, or is no calendar.
    """

    def __init__(self, path: Path, zone: ZoneInfo) -> None:
        self.path = path
        self._zone = zone
        self._seen: tuple[int, ...] | None = None
        self._calendars: list[Calendar] = []
        self.errors_total = 0
        self.refresh()

    def refresh(self) -> bool:
        """Read the file again where it has changed since it was last looked at; say whether it had.

        Raises:
            CalendarError: It cannot be used as it is now; what was read before stays. Once for each change.
        """
        seen = _looks(self.path)
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            calendars = _read(self.path)
            now = datetime.now(UTC)
            _spans(calendars, now, now + DAY, self._zone)
        except CalendarError:
            self.errors_total += 1
            raise
        self._calendars = calendars
        return True

    def spans(self, begin: datetime, end: datetime) -> list[Span]:
        """Return the spans that touch a time, in any order.

        Raises:
            CalendarError: An event makes no sense in that time; it is counted.
        """
        try:
            return _spans(self._calendars, begin, end, self._zone)
        except CalendarError:
            self.errors_total += 1
            raise


def _looks(path: Path) -> tuple[int, ...]:
    """Return what differs where a file was written or replaced; nothing where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> list[Calendar]:
    from icalendar import Calendar  # noqa: PLC0415 -- see above

    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise CalendarError(error.strerror or str(error)) from None
    if len(content) > BYTES_MAX:
        raise CalendarError(f"larger than {BYTES_MAX} bytes")
    with _refusing():
        found = Calendar.from_ical(content, multiple=True)
        if not found or any(one.name != "VCALENDAR" for one in found):
            raise CalendarError("no calendar: BEGIN:VCALENDAR is missing")
        for one in found:
            for event in one.walk("VEVENT"):
                _check(event)
    return found


def _check(event: Any) -> None:
    """Refuse what the libraries let pass, and take for something else."""
    who = str(event.get("SUMMARY", event.get("UID", "an event")))
    if "DTSTART" not in event:
        raise CalendarError(f"{who}: DTSTART is missing")
    for key in ("DTSTART", "DTEND"):
        if key in event:
            zone, at = event[key].params.get("TZID"), event[key].dt
            if zone and isinstance(at, datetime) and at.tzinfo is None:
                raise CalendarError(f"{who}: {key}: unknown time zone {zone!r}")
    rules = event.get("RRULE", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        often = str(*rule.get("FREQ", [""])).upper()
        if not often or often in TOO_OFTEN:
            raise CalendarError(f"{who}: RRULE: repeats {often.lower() or 'at no FREQ'}")


def _spans(calendars: Sequence[Calendar], begin: datetime, end: datetime, zone: ZoneInfo) -> list[Span]:
    if not calendars:
        return []
    from recurring_ical_events import of  # noqa: PLC0415 -- see above

    with _refusing():
        # Up to fourteen hours lie between a time without a zone and the same in UTC.
        found = [event for one in calendars for event in of(one).between(begin - DAY, end + DAY)]
        held = [event for event in found if str(event.get("STATUS", "")).upper() != "CANCELLED"]
        spans = [Span(_time_s(event.start, zone), _time_s(event.end, zone)) for event in held]
    low_s, high_s = begin.timestamp(), end.timestamp()
    return [span for span in spans if span.begin_s < high_s and span.end_s > low_s]


def _time_s(at: date, zone: ZoneInfo) -> float:
    if not isinstance(at, datetime):
        at = datetime.combine(at, time())
    return (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except CalendarError:
        raise
    except Exception as error:
        # Two libraries stumble over a malformed file wherever they meet it; all of it is the file's fault.
        raise CalendarError(f"{type(error).__name__}: {error}") from error
