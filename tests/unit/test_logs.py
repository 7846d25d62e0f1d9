"""What the program says: one event a line, whatever the network put into it."""

import json
import logging

import numpy as np
import pytest

from detector import logs

LOG = logging.getLogger("tests.logs")
NASTY = 'a "b"\nlevel=error event=forged \x1b[31m \udcff'


@pytest.fixture
def said(capsys):
    root = logging.getLogger()
    before, level = root.handlers[:], root.level

    def lines(style, level="debug"):
        logs.setup(style, level)
        return lambda: capsys.readouterr().err.splitlines()  # noqa: PLW0108 -- read when it is called

    yield lines
    root.handlers[:] = before
    root.setLevel(level)


def broken():
    raise ValueError("first\n2026-01-01T00:00:00.000Z error forged\x1b[31m")


def failed():
    try:
        broken()
    except ValueError:
        LOG.exception("boom", extra={"facts": {"stream": "s"}})


def test_text_is_time_level_event_and_facts(said):
    lines = said("text")
    logs.say(LOG, "anomaly over", logging.WARNING, device="r 1", score=np.float32(0.5), lasted_s=1.23456789)
    (line,) = lines()
    stamp, rest = line.split(" ", 1)
    assert rest == 'warning "anomaly over" device="r 1" score=0.5 lasted_s=1.23457'
    assert stamp.endswith("Z")
    assert len(stamp) == len("2026-01-01T00:00:00.000Z")


def test_json_keeps_the_types_of_facts(said):
    lines = said("json")
    logs.say(
        LOG,
        "x",
        rows=np.int64(3),
        score=np.float32(0.5),
        late=np.nan,
        on=True,
        none=None,
        big=1 << 70,
        at=LOG,
    )
    line = json.loads(lines()[0])
    assert isinstance(line.pop("time_s"), float)
    assert line == {
        "level": "info",
        "event": "x",
        "rows": 3,
        "score": 0.5,
        "late": None,
        "on": True,
        "none": None,
        "big": str(1 << 70),
        "at": str(LOG),
    }


def test_a_label_cannot_pass_for_the_level(said):
    lines = said("json")
    logs.say(LOG, "x", level="none", event="forged", time_s=0)
    line = json.loads(lines()[0])
    assert (line["level"], line["event"]) == ("info", "x")
    assert line["time_s"] > 0


@pytest.mark.parametrize("style", ["text", "json"])
def test_text_from_the_network_stays_on_its_line(said, style):
    lines = said(style)
    logs.say(LOG, NASTY, entity=NASTY)
    (line,) = lines()
    assert line.isprintable()
    if style == "json":
        assert json.loads(line)["entity"] == NASTY.replace("\udcff", "?")
    else:
        assert " level=error" not in line.split('"')[0]


def test_a_time_is_a_date_in_text_and_seconds_in_json(said):
    facts = {"onset_s": 1_763_853_020.5, "lasted_s": 90.0}
    lines = said("text")
    logs.say(LOG, "anomaly over", **facts)
    assert lines()[0].endswith(" onset=2025-11-22T23:10:20Z lasted_s=90")
    lines = said("json")
    logs.say(LOG, "anomaly over", **facts)
    assert json.loads(lines()[0]).items() >= facts.items()


def test_a_number_is_written_out_and_short(said):
    lines = said("text")
    logs.say(LOG, "x", lasted_s=1_209_600.5, score=1.23456789, tiny=1e-9, huge=1e300, late=np.nan)
    assert lines()[0].endswith(" x lasted_s=1209600 score=1.23457 tiny=1e-09 huge=1e+300 late=nan")


@pytest.mark.parametrize("value", [np.nan, -1.0, 1e300])
def test_a_time_that_is_no_date_is_a_number(said, value):
    lines = said("text")
    logs.say(LOG, "x", onset_s=value)
    assert lines()[0].endswith(f" x onset_s={value:.6g}")


def test_an_empty_value_is_seen(said):
    lines = said("text")
    logs.say(LOG, "x", why="")
    assert lines()[0].endswith(' x why=""')


def test_no_line_of_a_traceback_looks_like_an_event(said):
    lines = said("text")
    failed()
    head, *rest = lines()
    assert head.endswith(" error boom stream=s")
    assert len(rest) > 3
    assert all(line.startswith("  ") and line.isprintable() for line in rest)


def test_a_traceback_is_one_line_of_json(said):
    lines = said("json")
    failed()
    (line,) = lines()
    assert "ValueError: first" in json.loads(line)["exception"]
    assert json.loads(line)["stream"] == "s"


def test_a_level_silences_what_is_below_it(said):
    lines = said("text", "warning")
    logs.say(LOG, "quiet")
    logs.say(LOG, "loud", logging.WARNING)
    assert [line.split()[-1] for line in lines()] == ["loud"]


def test_a_second_setup_replaces_the_first(said):
    said("text")
    lines = said("json")
    logs.say(LOG, "once")
    assert [json.loads(line)["event"] for line in lines()] == ["once"]


def test_other_programs_parts_speak_in_the_same_way(said):
    lines = said("json")
    logging.getLogger("paho").warning("lost %s", "broker")
    assert json.loads(lines()[0])["event"] == "lost broker"
