"""What nobody should learn from: files of incidents and maintenance, and what looks like an incident."""

from dataclasses import replace

import numpy as np
import pytest

from detector.model.design import Design
from detector.train.dataset import Dataset, DatasetError
from detector.train.exclude import excluded
from detector.train.fit import fit
from tests.support.pasts import past, stream

START_S, STEP_S, RECORDS = 1_700_006_400.0, 60.0, 600
DEFINITION = stream(1)


@pytest.fixture(name="data")
def _data():
    time_s = np.repeat(START_S + STEP_S * np.arange(RECORDS), 2)
    entity = np.tile([0, 1], RECORDS)
    column = {"signal0": np.random.default_rng(0).normal(size=len(time_s))}
    return Dataset(
        ("device",), (("r0",), ("r1",)), entity, time_s, column, np.ones(len(time_s), bool), False, ""
    )


def times(data, out, entity):
    """Return the minutes that are left out of an entity."""
    return ((data.time_s[out & (data.entity == entity)] - START_S) / 60).tolist()


def test_a_csv_leaves_out_its_spans_of_the_entities_that_it_names(tmp_path, data):
    file = tmp_path / "incidents.csv"
    file.write_text(
        f"start,end,device,event,what\n{START_S + 60},{START_S + 180},r1,x,y\n2023-11-15T00:10:00Z,"
        "2023-11-15T00:11:00Z,,,\n"
    )
    out = excluded(data, DEFINITION, [file])
    assert times(data, out, 1) == [1, 2, 3, 10, 11]
    assert times(data, out, 0) == [10, 11]


def test_a_calendar_leaves_out_its_events_of_all_entities(tmp_path, data):
    file = tmp_path / "windows.ics"
    file.write_text(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20231115T000000Z\r\n"
        "DTSTART:20231115T000500Z\r\nDTEND:20231115T000700Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    out = excluded(data, DEFINITION, [file])
    assert times(data, out, 0) == times(data, out, 1) == [5, 6]


def test_settings_leave_out_their_maintenance_of_whom_it_is(tmp_path, data):
    file = tmp_path / "detector.toml"
    file.write_text(
        '[[maintenance]]\nname = "nightly"\ncron = "20 0 * * *"\nduration_s = 120\n'
        'match = { device = "r1" }\n'
    )
    out = excluded(data, DEFINITION, [file])
    assert times(data, out, 1) == [20, 21]
    assert times(data, out, 0) == []


def test_several_files_leave_out_what_any_of_them_says(tmp_path, data):
    for name, minute in (("a", 1), ("b", 5)):
        (tmp_path / f"{name}.csv").write_text(f"start,end\n{START_S + 60 * minute},{START_S + 60 * minute}\n")
    out = excluded(data, DEFINITION, [tmp_path / "a.csv", tmp_path / "b.csv"])
    assert times(data, out, 0) == [1, 5]
    assert not excluded(data, DEFINITION, []).any()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("x.txt", "", r"x\.txt: neither \.csv nor \.ics nor \.toml"),
        ("x.csv", None, "No such file"),
        ("x.csv", "start\n1\n", "no column `end`"),
        ("x.csv", "start,end\n2,1\n", r"x\.csv:2: it ends"),
        ("x.ics", "no calendar", r"x\.ics"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path, data, name, content, why):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(Exception, match=why) as caught:
        excluded(data, DEFINITION, [tmp_path / name])
    assert type(caught.value).__name__ in {"DatasetError", "SettingsError"}


# What looks like an incident


def with_incidents(timeline, share, off=60.0):
    """Return a timeline in which half of the signals are off for a share of the time."""
    value = timeline.value.copy()
    hit = np.zeros(value.shape[:2], bool)
    random = np.random.default_rng(3)
    length = 20
    for row in hit:
        for start in random.integers(100, len(row) - length, round(share * len(row) / length)):
            row[start : start + length] = True
    value[hit, : value.shape[2] // 2] += off
    return replace(timeline, value=value), float(hit.mean())


def test_incidents_are_not_learnt_from_and_a_clean_history_is():
    clean = past(4, 3000, 4)
    dirty, share = with_incidents(clean, 0.03)
    found = fit(dirty, Design("pca"), 0, 1, lambda *_: None)
    assert 0.5 * share < found.suspected < 2.0 * share
    assert fit(clean, Design("pca"), 0, 1, lambda *_: None).suspected < 0.002
    assert found.metrics["suspected_share"] == pytest.approx(found.suspected, abs=1e-5)


def test_what_an_entity_does_most_of_the_time_is_no_incident():
    odd = past(4, 3000, 4)
    value = odd.value.copy()
    value[0] += 200.0 * np.random.default_rng(0).standard_t(1.5, value[0].shape)
    found = fit(replace(odd, value=value), Design("pca"), 0, 1, lambda *_: None)
    assert found.suspected <= 0.1 / 4 + 0.005


# Too little


@pytest.mark.parametrize(("steps", "missing"), [(40, "18 steps more, 1080 s, would do"), (5, "would do")])
def test_too_little_data_says_how_much_is_missing(steps, missing):
    with pytest.raises(DatasetError, match=missing) as caught:
        fit(past(2, steps, 1), Design("ewma"), 0, 1, lambda *_: None)
    assert "too little data: " in str(caught.value)


def test_what_is_said_to_be_missing_is_enough():
    for steps in (20, 40, 55):
        with pytest.raises(DatasetError) as caught:
            fit(past(2, steps, 1), Design("ewma"), 0, 1, lambda *_: None)
        missing = int(str(caught.value).split(" steps more")[0].rsplit(maxsplit=1)[1])
        fit(past(2, steps + missing, 1), Design("ewma"), 0, 1, lambda *_: None)


def test_holes_are_named_where_the_time_would_do():
    whole = past(2, 400, 1)
    seen = np.zeros(whole.seen.shape, bool)
    seen[:, ::5] = True
    with pytest.raises(DatasetError, match="too many holes"):
        fit(replace(whole, seen=seen), Design("ewma"), 0, 1, lambda *_: None)
