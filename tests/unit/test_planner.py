"""Planned maintenance: spans from calendars and cron expressions, for each stream around its own now."""

import logging
from datetime import UTC, datetime
from math import inf

import numpy as np
import pytest

from detector.evaluate.offline import outcomes
from detector.maintenance_settings import MaintenanceSettings
from detector.planner import LOOK_S, Planner
from detector.settings import SettingsError
from detector.stream.nouns import Span
from detector.stream.pipeline import StreamPipeline
from detector.train.dataset import Dataset
from detector.train.maintained import maintained
from tests.support.streams import START_S, batch, definition, judge
from tests.unit.test_calendar import MOVED, WEEKLY, changed, text

DAY_S = 86400.0


def nightly(**given):
    """Return a maintenance of all devices, an hour from 2:00."""
    return MaintenanceSettings(**{"name": "nightly", "cron": "0 2 * * *", "duration_s": 3600} | given)


def seconds(moment):
    return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()


def given_for(maintenance, begin, end):
    """Return the spans that a stream gets for a time, in UTC, to the minute."""
    planner = Planner([maintenance])
    stream = StreamPipeline(definition(), None, planner.maintenances_of(definition()))
    planner.give(stream, seconds(begin), seconds(end))
    return [
        tuple(datetime.fromtimestamp(at_s, UTC).strftime("%m-%d %H:%M") for at_s in span)
        for span in stream.bench.maintained._planned[0]
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [("01-07 02:00", "01-07 03:00"), ("01-08 02:00", "01-08 03:00")]),
        ({"timezone": "Asia/Tokyo"}, [("01-06 17:00", "01-06 18:00"), ("01-07 17:00", "01-07 18:00")]),
        ({"cron": "0 2 * * WED"}, [("01-08 02:00", "01-08 03:00")]),
        ({"duration_s": DAY_S}, [("01-06 02:00", "01-09 02:00")]),  # what meets is one
        ({"cron": "0 2 1 6 *"}, []),
    ],
)
def test_a_cron_expression_begins_spans_of_a_duration(given, expected):
    """From noon on the 6th to noon on the 8th of January 2025, a Wednesday."""
    found = given_for(nightly(**given), "2025-01-06T12:00", "2025-01-08T12:00")
    assert found == expected


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        # On 30 March 2025, two o'clock is three in Berlin; on 26 October, three is two again.
        (
            "30 2 * * *",
            [["03-29 01:30", "03-30 01:00", "03-31 00:30"], ["10-25 00:30", "10-26 00:30", "10-27 01:30"]],
        ),
        (
            "0 4 * * *",
            [["03-29 03:00", "03-30 02:00", "03-31 02:00"], ["10-25 02:00", "10-26 03:00", "10-27 03:00"]],
        ),
    ],
)
def test_on_the_days_on_which_clocks_change_it_begins_once(cron, expected):
    made = nightly(cron=cron, timezone="Europe/Berlin")
    days = [("2025-03-29", "2025-03-31T12:00"), ("2025-10-25", "2025-10-27T12:00")]
    assert [[begin for begin, _ in given_for(made, *one)] for one in days] == expected


def test_a_time_that_no_calendar_has_is_without_maintenance():
    planner = Planner([nightly()])
    stream = StreamPipeline(definition(), None, planner.maintenances_of(definition()))
    for begin_s in (-1e18, 1e15):
        planner.give(stream, begin_s, begin_s + DAY_S)
        assert stream.bench.maintained._planned[0] == ()


def test_a_calendar_that_cannot_be_used_is_refused_at_start_with_its_key(tmp_path):
    path = tmp_path / "none.ics"
    with pytest.raises(SettingsError) as caught:
        Planner([nightly(), MaintenanceSettings(name="core", calendar=path)])
    assert str(caught.value) == f"maintenance.1.calendar: {path}: No such file or directory"


# Live


@pytest.fixture
def core(tmp_path):
    """Return a planner of a calendar, its file, and a stream on the wall's clock."""
    path = tmp_path / "core.ics"
    path.write_text(text(WEEKLY))
    planner = Planner([MaintenanceSettings(name="core", calendar=path)])
    one = definition(clock="wall", age_max_s=600.0)
    return planner, path, StreamPipeline(one, None, planner.maintenances_of(one))


def planned(stream):
    return stream.bench.maintained._planned[0]


def test_a_stream_knows_what_is_planned_for_a_day_and_is_told_again_after_that(core):
    planner, _, stream = core
    planner.keep([stream], seconds("2025-01-04T12:00"))
    assert planned(stream) == (), "the next is in more than a day"
    planner.keep([stream], seconds("2025-01-05T11:59"))
    assert planned(stream) == (), "within the day that it knows"
    planner.keep([stream], seconds("2025-01-05T12:01"))
    assert planned(stream) == (Span(seconds("2025-01-05T21:00"), seconds("2025-01-05T22:30")),)
    planner.keep([stream], seconds("2025-01-05T22:35"))
    assert planned(stream), "steps of the last minutes may be to close"


def test_before_a_clock_of_the_data_has_a_time_nothing_is_planned(core):
    planner, _, _ = core
    stream = StreamPipeline(definition(), None, planner.maintenances_of(definition()))
    planner.keep([stream], seconds("2025-01-05T21:30"))
    assert stream.clock.now_s(0.0) == -inf
    assert stream.bench.maintained._planned == {}
    filled = batch(("r", 0.0, {0: 0.0}))
    stream.add(filled, np.array(filled.times_s))
    planner.keep([stream], 0.0)
    assert planner._given[stream.definition.name, "core"].end_s == START_S + DAY_S


def test_a_changed_calendar_counts_at_once_and_a_broken_one_is_told_and_counted(core, caplog):
    planner, path, stream = core
    wall_s = seconds("2025-01-05T12:01")
    planner.keep([stream], wall_s)
    before = planned(stream)
    changed(path, "broken")
    for step in range(3):
        planner.look(1000.0 + step * LOOK_S)
        planner.keep([stream], wall_s)
    assert (planned(stream), planner.errors) == (before, {"core": 1})
    (record,) = caplog.records
    assert (record.message, record.levelname) == ("calendar not read", "ERROR")
    assert record.facts["maintenance"] == "core"
    changed(path, text(MOVED))
    planner.look(1002.5)
    assert len(planned(stream)) == 1, "not looked at more than once a second"
    with caplog.at_level(logging.INFO):
        planner.look(1010.0)
    planner.keep([stream], wall_s)
    assert planned(stream) == ()
    assert caplog.records[-1].message == "calendar read"


def test_what_comes_next_is_found_within_a_year(core, tmp_path):
    planner, _, _ = core
    begin, end = seconds("2025-01-05T21:00"), seconds("2025-01-05T22:30")
    for moment in ("2025-01-05T20:00", "2025-01-05T22:00", "2024-12-01T00:00"):
        assert planner.next("core", seconds(moment)) == Span(begin, end)
    (tmp_path / "over.ics").write_text(text(MOVED))
    over = Planner([MaintenanceSettings(name="over", calendar=tmp_path / "over.ics")])
    assert over.next("over", seconds("2025-01-15T00:00")) is None


# Offline


def test_offline_the_time_of_the_data_decides():
    """Steps of an hour; the value is 9 from four to seven, and two of them open an episode."""
    hours = np.arange(12)
    data = Dataset(
        labels=("device",),
        entities=(("r",),),
        entity=np.zeros(12, np.int64),
        time_s=seconds("2025-01-07") + 3600.0 * hours,
        column={"level": np.where((hours >= 4) & (hours <= 7), 9.0, 0.0)},
        train=np.ones(12, bool),
        rates=False,
        sha256="",
    )
    hourly = definition(step_s=3600.0)

    def onsets(planner):
        run = outcomes(data, hourly, judge(1, [("r",)]), planner)
        return [
            (int(onset.time_s - data.time_s[0]) // 3600, int(outcome.time_s - data.time_s[0]) // 3600)
            for _, outcome in run
            for onset in outcome.onsets
        ]

    assert onsets(None) == [(4, 5)]
    assert onsets(Planner([nightly(cron="0 3 * * *")])) == [(4, 5)]
    assert onsets(Planner([nightly(cron="0 3 * * *", duration_s=3 * 3600)])) == [(4, 7)]
    assert onsets(Planner([nightly(cron="0 3 * * *", duration_s=9 * 3600)])) == []
    assert onsets(Planner([nightly(streams=["others"], duration_s=DAY_S)])) == [(4, 5)]


def test_training_leaves_out_who_was_in_maintenance_and_when():
    """Two devices, a record an hour: of the leaf, the hours from three to five teach nothing."""
    hours = np.repeat(np.arange(12), 2)
    data = Dataset(
        labels=("device",),
        entities=(("leaf1",), ("spine1",)),
        entity=np.tile([0, 1], 12),
        time_s=seconds("2025-01-07") + 3600.0 * hours,
        column={"level": np.zeros(24)},
        train=np.ones(24, bool),
        rates=False,
        sha256="",
    )
    switched = MaintenanceSettings(name="by hand", topic="maintenance/{device}")
    leaves = nightly(cron="0 3 * * *", duration_s=3 * 3600, match={"device": "leaf*"})
    out = maintained(data, definition(), Planner([leaves, switched]))
    assert [(int(data.entity[at]), int(hours[at])) for at in np.flatnonzero(out)] == [(0, 3), (0, 4), (0, 5)]
    nobody = data.only(np.zeros(24, bool))
    assert not maintained(nobody, definition(), Planner([leaves])).any()
