"""Maintenance that is planned: calendars and cron expressions become spans, which streams are given ahead.

The core has no clock, and a stream may have one of its own. So every stream gets the spans around its own
now, and new ones when it has gone on for a day, or a calendar has changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from math import inf, isfinite
from typing import TYPE_CHECKING, Final, Protocol

from cronsim import CronSim

from detector.edge.calendar import CalendarError, CalendarFile
from detector.logs import say
from detector.maintenance_settings import MaintenanceSettings
from detector.settings import SettingsError
from detector.stream.definition import Definition, Maintenance
from detector.stream.nouns import Span

if TYPE_CHECKING:  # `detector check` plans without a stream, and starts in half the time without numpy
    from detector.stream.pipeline import StreamPipeline

LOG = logging.getLogger("detector.daemon")

DAY_S: Final = 86400.0
AHEAD_S: Final = DAY_S
"""How far ahead of its now a stream knows what is planned: a day is computed in milliseconds."""
LOOK_S: Final = 1.0
"""How often a calendar is looked at for changes; that is one call of the system."""
TIME_MIN_S: Final = -62_000_000_000.0
TIME_MAX_S: Final = 253_000_000_000.0
"""The years 5 to 9987: what `datetime` can tell, with days to spare. A clock of the data can be beyond."""
NEXT_DAYS: Final = (7, 366)
"""How far to look for what is planned next: first near, for in a year there may be much."""


class _Source(Protocol):
    """What says when a maintenance is."""

    def spans(self, begin: datetime, end: datetime) -> list[Span]:
        """Return the spans that touch a time."""


class _Cron:
    """Begins at the times of a cron expression, in a time zone, and lasts."""

    def __init__(self, settings: MaintenanceSettings) -> None:
        assert settings.duration_s is not None
        self._expression, self._duration_s, self._zone = settings.cron, settings.duration_s, settings.zone

    def spans(self, begin: datetime, end: datetime) -> list[Span]:
        """Return the spans that touch a time."""
        first = (begin - timedelta(seconds=self._duration_s + 1)).astimezone(self._zone)
        found = []
        for at in CronSim(self._expression, first):
            if at >= end:
                break
            found.append(Span(at.timestamp(), at.timestamp() + self._duration_s))
        return [span for span in found if span.end_s > begin.timestamp()]


class Planner:
    """The maintenances of the settings, and when those are that are planned.

    Raises:
        SettingsError: A calendar cannot be used; the message names the key.
    """

    def __init__(self, maintenances: Sequence[MaintenanceSettings]) -> None:
        self._maintenances = tuple(maintenances)
        self._sources: dict[str, _Source] = {}
        self._calendars: dict[str, CalendarFile] = {}
        self._given: dict[tuple[str, str], Span] = {}  # stream and maintenance: what it has the spans of
        self._looked_s = -inf
        for index, one in enumerate(maintenances):
            if one.cron:
                self._sources[one.name] = _Cron(one)
            elif one.calendar is not None:
                try:
                    calendar = CalendarFile(one.calendar, one.zone)
                except CalendarError as error:
                    raise SettingsError(f"maintenance.{index}.calendar: {one.calendar}: {error}") from None
                self._sources[one.name] = self._calendars[one.name] = calendar

    def maintenances_of(self, stream: Definition) -> list[Maintenance]:
        """Return the maintenances that are about a stream, planned and switched ones."""
        return [one.maintenance() for one in self._maintenances if one.is_about(stream)]

    @property
    def errors(self) -> dict[str, int]:
        """How often the calendar of each maintenance could not be used, and an earlier one stayed."""
        return {name: calendar.errors_total for name, calendar in self._calendars.items()}

    def look(self, monotonic_s: float) -> None:
        """See whether calendars have changed; to be called at any time."""
        if monotonic_s - self._looked_s < LOOK_S:
            return
        self._looked_s = monotonic_s
        for name, calendar in self._calendars.items():
            try:
                changed = calendar.refresh()
            except CalendarError as error:
                self._complain(name, error)
                continue
            if changed:
                say(LOG, "calendar read", maintenance=name, file=calendar.path)
                self._given = {key: span for key, span in self._given.items() if key[1] != name}

    def keep(self, streams: Iterable[StreamPipeline], wall_s: float) -> None:
        """Give each stream what is planned around its own now."""
        for stream in streams:
            now_s = stream.clock.now_s(wall_s)
            if isfinite(now_s):
                one = stream.definition
                self.give(stream, now_s - one.age_max_s - one.lateness_s - 2 * one.step_s, now_s, AHEAD_S)

    def give(self, stream: StreamPipeline, begin_s: float, end_s: float, ahead_s: float = 0.0) -> None:
        """Give a stream what is planned for a time, where it does not have it; and some time ahead then."""
        for name, source in self._sources.items():
            key = stream.definition.name, name
            given = self._given.get(key)
            enough = given is not None and given.begin_s <= begin_s and end_s <= given.end_s
            if not enough and stream.bench.maintained.is_about(name):
                self._given[key] = Span(begin_s, end_s + ahead_s)
                try:
                    spans = _between(source, *self._given[key])
                except CalendarError as error:
                    self._complain(name, error)
                else:
                    stream.bench.maintained.plan(name, spans)

    def spans(
        self, stream: Definition, begin_s: float, end_s: float
    ) -> Iterator[tuple[Maintenance, list[Span]]]:
        """Yield each planned maintenance that is about a stream, with its spans that touch a time.

        Raises:
            CalendarError: An event makes no sense in that time.
        """
        for one in self.maintenances_of(stream):
            if one.name in self._sources:
                yield one, _between(self._sources[one.name], begin_s, end_s)

    def next(self, name: str, now_s: float) -> Span | None:
        """Return the span of a maintenance that is now or comes next; None where none does in a year.

        Raises:
            CalendarError: An event of its calendar makes no sense then.
        """
        for days in NEXT_DAYS:
            spans = _between(self._sources[name], now_s, now_s + days * DAY_S)
            if spans:
                return spans[0]
        return None

    def _complain(self, name: str, error: CalendarError) -> None:
        file = self._calendars[name].path
        what = "what was read before stays"
        say(LOG, "calendar not read", logging.ERROR, maintenance=name, file=file, reason=error, so=what)


def _between(source: _Source, begin_s: float, end_s: float) -> list[Span]:
    """Return the spans that touch a time, in their order; what overlaps or meets is one."""
    low_s, high_s = max(begin_s, TIME_MIN_S), min(end_s, TIME_MAX_S)
    if low_s >= high_s:
        return []
    merged: list[Span] = []
    for span in sorted(source.spans(datetime.fromtimestamp(low_s, UTC), datetime.fromtimestamp(high_s, UTC))):
        if merged and span.begin_s <= merged[-1].end_s:
            merged[-1] = Span(merged[-1].begin_s, max(merged[-1].end_s, span.end_s))
        else:
            merged.append(span)
    return merged
