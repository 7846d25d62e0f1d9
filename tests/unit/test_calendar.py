"""Calendars of maintenance: which spans their events are, and what is refused."""

import os
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.edge import calendar
from detector.edge.calendar import CalendarError, CalendarFile

BERLIN = ZoneInfo("Europe/Berlin")
WEEKLY = """\
UID:weekly
SUMMARY:core
DTSTART;TZID=Europe/Berlin:20250105T220000
DTEND;TZID=Europe/Berlin:20250105T233000
RRULE:FREQ=WEEKLY
EXDATE;TZID=Europe/Berlin:20250119T220000
"""
MOVED = """\
UID:weekly
RECURRENCE-ID;TZID=Europe/Berlin:20250112T220000
DTSTART;TZID=Europe/Berlin:20250114T080000
DTEND;TZID=Europe/Berlin:20250114T090000
"""


def text(*events, head="PRODID:tests"):
    parts = "".join(f"BEGIN:VEVENT\n{event}END:VEVENT\n" for event in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\n{head}\n{parts}END:VCALENDAR\n"


def opened(tmp_path, content, zone=BERLIN):
    path = tmp_path / "maintenance.ics"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return CalendarFile(path, zone)


def spans(made, begin="2025-01-01", end="2025-02-01"):
    """Return the spans in UTC, to the minute."""
    begin, end = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (begin, end))
    return [
        tuple(datetime.fromtimestamp(at_s, UTC).strftime("%m-%d %H:%M") for at_s in span)
        for span in sorted(made.spans(begin, end))
    ]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("UID:1\nDTSTART:20250107T100000Z\nDTEND:20250107T110000Z\n", ("01-07 10:00", "01-07 11:00")),
        ("UID:1\nDTSTART:20250107T100000Z\nDURATION:PT90M\n", ("01-07 10:00", "01-07 11:30")),
        # Without a zone, and whole days: Berlin's.
        ("UID:1\nDTSTART:20250107T100000\nDTEND:20250107T110000\n", ("01-07 09:00", "01-07 10:00")),
        ("UID:1\nDTSTART;VALUE=DATE:20250107\n", ("01-06 23:00", "01-07 23:00")),
        (
            "UID:1\nDTSTART;VALUE=DATE:20250107\nDTEND;VALUE=DATE:20250109\n",
            ("01-06 23:00", "01-08 23:00"),
        ),
        # As Outlook names its zones.
        (
            "UID:1\nDTSTART;TZID=W. Europe Standard Time:20250107T100000\nDURATION:PT1H\n",
            ("01-07 09:00", "01-07 10:00"),
        ),
    ],
)
def test_an_event_is_a_span_of_its_own_time(tmp_path, event, expected):
    assert spans(opened(tmp_path, text(event))) == [expected]


def test_what_repeats_does_so_by_its_rule_with_what_was_moved_and_taken_out(tmp_path):
    found = spans(opened(tmp_path, text(WEEKLY, MOVED)))
    assert found == [
        ("01-05 21:00", "01-05 22:30"),
        ("01-14 07:00", "01-14 08:00"),
        ("01-26 21:00", "01-26 22:30"),
    ]


def test_a_rule_keeps_the_hour_of_its_zone_when_clocks_change(tmp_path):
    found = spans(opened(tmp_path, text(WEEKLY)), "2025-03-20", "2025-04-01")
    assert found == [("03-23 21:00", "03-23 22:30"), ("03-30 20:00", "03-30 21:30")]


def test_what_is_cancelled_is_no_maintenance(tmp_path):
    event = "UID:1\nSTATUS:CANCELLED\nDTSTART:20250107T100000Z\nDTEND:20250107T110000Z\n"
    assert spans(opened(tmp_path, text(event))) == []


def test_a_span_that_is_under_way_is_one_of_the_time(tmp_path):
    made = opened(tmp_path, text("UID:1\nDTSTART:20241230T000000Z\nDTEND:20250110T000000Z\n"))
    assert spans(made, "2025-01-05", "2025-01-06") == [("12-30 00:00", "01-10 00:00")]
    assert spans(made, "2025-01-10", "2025-01-11") == []


def test_a_time_without_a_zone_is_found_however_far_its_zone_is_from_utc(tmp_path):
    """Noon on Kiritimati is the night before in UTC."""
    event = "UID:1\nDTSTART:20250107T120000\nDTEND:20250107T130000\n"
    made = opened(tmp_path, text(event), ZoneInfo("Pacific/Kiritimati"))
    assert spans(made, "2025-01-06", "2025-01-07") == [("01-06 22:00", "01-06 23:00")]


def test_a_file_may_have_several_calendars_or_no_event(tmp_path):
    assert len(spans(opened(tmp_path, text(WEEKLY) + text(MOVED.replace("weekly", "other"))))) == 4
    assert spans(opened(tmp_path, text())) == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "no calendar: BEGIN:VCALENDAR is missing"),
        ("hello", "ValueError: Content line could not be parsed"),
        (b"\xff\xfe\x00", "ValueError: Content line could not be parsed"),
        ("BEGIN:VEVENT\nDTSTART:20250101T000000Z\nEND:VEVENT\n", "no calendar: BEGIN:VCALENDAR is missing"),
        (text(WEEKLY)[:-20], "no calendar: BEGIN:VCALENDAR is missing"),
        (text("UID:1\nSUMMARY:x\n"), "x: DTSTART is missing"),
        (text("UID:1\nDTSTART:soon\n"), "BrokenCalendarProperty: "),
        (
            text(WEEKLY.replace("Europe/Berlin", "Mars/Phobos")),
            "core: DTSTART: unknown time zone 'Mars/Phobos'",
        ),
        (text(WEEKLY.replace("FREQ=WEEKLY", "often")), "core: RRULE: repeats at no FREQ"),
        (text(WEEKLY.replace("WEEKLY", "MINUTELY")), "core: RRULE: repeats minutely"),
        (text(WEEKLY.replace("WEEKLY", "WEEKLY;BYDAY=XX")), "BrokenCalendarProperty: "),
        (text("DESCRIPTION:" + "x" * calendar.BYTES_MAX + "\n"), f"larger than {calendar.BYTES_MAX} bytes"),
    ],
)
def test_what_is_no_calendar_is_refused_and_says_why(tmp_path, content, what):
    with pytest.raises(CalendarError) as caught:
        opened(tmp_path, content)
    assert str(caught.value).startswith(what)


@given(st.binary(max_size=60), st.integers(0, len(text(WEEKLY, MOVED))), st.integers(0, 60))
def test_a_calendar_that_is_damaged_is_refused_or_read(tmp_path_factory, bytes_, at, cut):
    whole = text(WEEKLY, MOVED).encode()
    path = tmp_path_factory.getbasetemp() / "damaged.ics"
    path.write_bytes(whole[:at] + bytes_ + whole[at + cut :])
    try:
        made = CalendarFile(path, BERLIN)
        made.spans(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 8, tzinfo=UTC))
    except CalendarError:
        pass


def changed(path, content):
    path.write_text(content)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))  # a file system may count time in steps


def test_a_changed_file_is_read_again_and_one_that_breaks_leaves_the_last(tmp_path):
    made = opened(tmp_path, text(WEEKLY))
    assert made.refresh() is False
    changed(made.path, "broken")
    with pytest.raises(CalendarError):
        made.refresh()
    assert made.refresh() is False, "it is complained of once"
    assert (len(spans(made)), made.errors_total) == (3, 1)
    made.path.unlink()
    with pytest.raises(CalendarError, match="No such file"):
        made.refresh()
    assert (len(spans(made)), made.errors_total) == (3, 2)
    changed(made.path, text(MOVED))
    assert made.refresh() is True
    assert spans(made) == [("01-14 07:00", "01-14 08:00")]


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(CalendarError, match="No such file or directory"):
        CalendarFile(tmp_path / "none.ics", BERLIN)


def test_a_full_calendar_is_read_in_a_time_that_the_inbox_bears(tmp_path):
    """Measured: 1.5 s for what is as large as may be; this is a tenth of it."""
    day = datetime(2025, 1, 1, tzinfo=UTC)
    events = [
        f"UID:{index}\nSUMMARY:{'x' * 80}\nRRULE:FREQ=WEEKLY\n"
        f"DTSTART:{day + timedelta(hours=index):%Y%m%dT%H%M%SZ}\nDURATION:PT1H\n"
        for index in range(300)
    ]
    assert len(spans(opened(tmp_path, text(*events)), "2025-06-01", "2025-06-08")) > 160
