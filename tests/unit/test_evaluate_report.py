"""What an evaluation says: the table, JSON, and the page with its pictures."""

import json
import re
from dataclasses import replace
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from detector.evaluate import output, report, shown, table
from detector.evaluate.offline import outcomes
from detector.evaluate.plots import COLUMNS_MAX, EVENT, Picture, svg
from detector.evaluate.traces import Span, Trace, traces
from detector.stream.definition import Signal
from tests.support.evaluations import NAN, STEP_S, dataset, evaluated, event, spiky
from tests.support.streams import START_S, definition, judge

A, B = ("a",), ("b<script>&'\"",)
FIRST = round(START_S / STEP_S)
DATA = dataset({A: spiky(400, (30, 40), (200, 205), (300, 310)), B: spiky(400, (350, 355))})
EVENTS = [
    event(28, 42, {"device": "a"}, signals=("level",)),
    event(100, 120, {"device": "a"}),
    event(198, 210, kind="bait"),
]


@pytest.fixture(scope="module")
def found():
    """One fault is found and one missed; bait, and nothing at all twice, raise an alarm."""
    return evaluated(DATA, *EVENTS)


@pytest.fixture(scope="module")
def page(found):
    return report.page(found, DATA, judge(1, DATA.entities))


def figures(page):
    """Return the caption and the picture of each figure of a page."""
    parts = re.findall(r"<figcaption>(.*?)</figcaption><img alt='' src='data:image/svg\+xml,([^']*)'>", page)
    return [(caption, unquote(picture)) for caption, picture in parts]


# The table


def test_every_row_of_the_table_has_what_chance_would_reach(found):
    rows = {row.name: row for row in table.rows(found)}
    assert rows["faults found"].detector == "1 of 2 (50%)"
    assert " of 2 (" in rows["faults found"].control
    assert rows["alarms on a fault"].detector == "1 of 4 (25%)"
    assert rows["baits with an alarm"].detector == "1 of 1 (100%)"
    assert rows["right signal first"].detector == "1 of 1 (100%)"
    assert rows["right signal first"].control == "1 of 1 (100%)", "there is one signal only"
    assert rows["delay, median"].detector == "30 s"
    measured = [row for row in rows.values() if row.name != "promised by the budget"]
    assert all(row.control != "-" for row in measured)
    assert all(row.meaning.endswith(".") for row in rows.values())


def test_the_rate_of_false_alarms_stands_beside_what_the_budget_promised(found):
    rows = {row.name: row.detector for row in table.rows(found)}
    days = found.detector.free_days
    assert rows["false alarms an entity and day"].startswith(f"{3 / days:.3g} (")
    assert rows["promised by the budget"] == f"0.143 ({3 / days * 7:.1f} times that)"


def test_a_terminal_shows_the_table_and_what_was_judged(found):
    lines = table.text(found).splitlines()
    assert lines[0].split() == ["detector", "at", "random"]
    assert max(map(len, lines[:-1])) < 80
    assert lines[-1] == (
        f"tests: 2 entities, 0.1 entity-days judged, {found.detector.free_days:.1f} of them without a label; "
        "4 alarms (4 anomaly); 6 of 800 steps have no score, and rank below all others"
    )


def test_what_there_is_nothing_of_is_left_out_or_a_dash():
    empty = evaluated(dataset({A: spiky(100)}))
    rows = {row.name: row.detector for row in table.rows(empty)}
    assert rows["VUS-PR, window 100"] == rows["delay, median"] == rows["faults found"] == "-"
    assert "baits with an alarm" not in rows
    assert "right signal first" not in rows


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (90, "90 s"), (150, "2.5 min"), (7200, "2 h"), (1e6, "11.6 d"), (NAN, "-")],
)
def test_durations_are_told_in_a_fitting_unit(seconds, told):
    assert table.duration(seconds) == told


# JSON


def test_json_has_every_number_event_and_false_alarm(found):
    told = json.loads(output.as_json(found))
    assert told["stream"] == "tests"
    assert told["detector"]["found"] == 1
    assert told["detector"]["false_a_day"] == pytest.approx(found.detector.false_a_day)
    assert told["control"]["faults"] == 2
    assert told["protocol"]["vus_window_steps"] == 100
    assert [one["false"] for one in told["entities"]] == [2, 1]
    assert told["entities"][1]["entity"] == {"device": B[0]}
    assert told["entities"][1]["vus_pr"] is None, "what cannot be said is null"
    assert [one["found"] for one in told["events"]] == [True, False, True]
    first, missed, _ = told["events"]
    assert first["alarm"]["leading"] == [{"signal": "level", "contribution": pytest.approx(1.0, abs=0.2)}]
    assert first["alarm"]["onset_s"] == START_S + 300
    assert first["alarm"]["told_s"] == START_S + 310
    assert (missed["alarm"], missed["delay_s"]) == (None, None)
    assert len(told["false_alarms"]) == 3


# Pictures


def test_a_trace_is_what_the_pipeline_said_then():
    stream = definition()
    spans = [Span(0, FIRST + 28, FIRST + 33), Span(1, FIRST + 30, FIRST + 31), Span(0, FIRST - 5, FIRST + 5)]
    first, second, before = traces(DATA, stream, judge(1, DATA.entities), spans)
    said = {
        outcome.scores.step: outcome.scores
        for _, outcome in outcomes(DATA, stream, judge(1, DATA.entities))
        if outcome.scores is not None
    }
    assert first.score.tolist() == [said[step].score[0] for step in first.step]
    assert first.observed[:, 0].tolist() == [0, 0, 5, 5, 5, 5]
    assert first.expected[:, 0].tolist() == [0] * 6
    assert (second.contribution, second.observed.tolist()) == (pytest.approx(0), [[0], [0]])
    assert np.isnan(before.score).tolist() == [True] * 9 + [False] * 2


def trace(steps, **values):
    plain = np.zeros((steps, 1), np.float32)
    return Trace(FIRST + np.arange(steps), np.zeros(steps, np.float32), plain, plain, plain)


def test_a_picture_is_svg_with_raw_units_and_text_that_stays_text():
    signal = Signal("$load_{1}$ <&", unit="%")
    drawn = svg(Picture(trace(50), [(START_S + 100, START_S + 200)], [], [(0, 0.75)]), definition(signal))
    texts = [one.text for one in ET.fromstring(drawn).iter() if one.tag.endswith("}text")]
    assert "$load_{1}$ <& (%): 75% of the score" in texts
    assert drawn.count(f"fill: {EVENT}") == 2, "on the score and on the signal"
    assert "Date" not in drawn


def test_a_counter_is_drawn_as_its_rate():
    drawn = svg(Picture(trace(20), [], [], [(0, 1.0)]), definition(Signal("octets", kind="counter")))
    assert "octets (a second): 100% of the score" in drawn


def test_the_same_picture_is_the_same_text():
    picture = Picture(trace(50), [], [(START_S, START_S + 50)], [(0, 1.0)])
    assert svg(picture, definition()) == svg(picture, definition())


def test_a_long_picture_is_thinned_and_keeps_its_spikes():
    def noisy(steps):
        plain = trace(steps)
        noise = np.random.default_rng(0).random((steps, 1), np.float32)
        return replace(plain, observed=noise)

    long = noisy(50 * COLUMNS_MAX)
    long.observed[12_345] = 7.5
    drawn, few = (svg(Picture(one, [], [], [(0, 1.0)]), definition()) for one in (long, noisy(COLUMNS_MAX)))
    assert len(drawn) < 3 * len(few)
    labels = re.findall(r">([0-9.]+)</text>", drawn)
    assert {"5", "5.0"} & set(labels)


def test_steps_without_a_score_draw_no_warning_and_no_line():
    empty = trace(30)
    empty.score[:] = np.nan
    empty.observed[:] = np.nan
    assert "</svg>" in svg(Picture(empty, [], [], [(0, 1.0)]), definition())


# The page


def test_every_fault_and_every_false_alarm_has_a_picture(page):
    captions = [caption for caption, _ in figures(page)]
    heads = re.findall(r"<h2>(.*?)</h2>", page)
    assert heads == ["Missed faults: 1", "Found faults: 1", "False alarms: 3"]
    assert len(captions) == 5
    missed, found, *false = captions
    assert missed.startswith(
        "<b>a test </b> 2023-11-14 22:30:00 UTC for 3.33 min. The highest score in it is"
    )
    assert re.search(
        r"Found after 30 s, score up to [\d.]+, open for [\d.]+ (s|min)\. Labelled: level\.", found
    )
    assert re.search(r"Leading: level \(\d+%\)\.$", found)
    assert "On bait: test." in false[0]


def test_pictures_are_well_formed_and_shade_events_and_alarms(page):
    for _, picture in figures(page):
        assert ET.fromstring(picture).tag.endswith("}svg")
    shaded = ["#f2a33a" in picture for _, picture in figures(page)]
    assert shaded == [True, True, True, False, False]


def test_the_page_needs_nothing_else(page):
    links = set(re.findall(r"""(?:src|href)=["']?(\w+:[^"', ]{0,20})""", re.sub(r"svg\+xml,[^']*", "", page)))
    assert links == {"data:image/"}
    assert "<script" not in page


def test_names_of_the_data_are_escaped(page):
    assert "b&lt;script&gt;&amp;" in page


def test_the_number_of_pictures_is_bounded_and_what_is_left_out_is_said(found, monkeypatch):
    monkeypatch.setattr(shown, "FAULTS_MAX", 1)
    monkeypatch.setattr(shown, "FALSE_MAX", 2)
    page = report.page(found, DATA, judge(1, DATA.entities))
    captions = [caption for caption, _ in figures(page)]
    assert len(captions) == 3
    assert "The highest score" in captions[0], "the missed one comes first"
    assert page.count("<p>1 more are left out here.</p>") == 2


def test_of_false_alarms_those_with_the_highest_scores_are_shown_in_order_of_time(monkeypatch):
    monkeypatch.setattr(shown, "FALSE_MAX", 2)
    values = sum(size * spiky(400, (first, first + 5)) for first, size in ((50, 1.8), (150, 1.1), (250, 2.0)))
    false = shown.sections(evaluated(dataset({A: values})))[2]
    assert false.total == 3
    assert [one.alarm.first - FIRST for one in false.shown] == [51, 251]


def test_a_missed_fault_is_shown_on_the_entity_that_came_nearest_and_says_if_an_alarm_was_open():
    values = {A: spiky(200), ("c",): spiky(200, (20, 60))}
    data = dataset(values)
    found = evaluated(data, event(50, 55))
    section = shown.sections(found)[0]
    assert [one.at for one in section.shown] == [1]
    captions = [caption for caption, _ in figures(report.page(found, data, judge(1, data.entities)))]
    assert "An alarm was open already, since 2023-11-14 22:16:50 UTC." in captions[0]


def test_a_long_event_is_shown_from_its_begin():
    found = evaluated(dataset({A: spiky(2400)}), event(100, 2300))
    span = shown.sections(found)[0].shown[0].span(STEP_S)
    assert (span.first - FIRST, span.last - span.first) == (100 - shown.AROUND_STEPS, shown.STEPS_MAX)
