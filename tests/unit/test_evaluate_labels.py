"""Files of labels, and of the signals that explain them."""

import pytest

from detector.evaluate.events import Event
from detector.evaluate.labels import interpreted, read
from detector.train.dataset import DatasetError

ENTITY = ("device", "interface")


def file(tmp_path, text, name="labels.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_label_names_any_subset_of_the_entity_and_further_columns_are_ignored(tmp_path):
    path = file(
        tmp_path,
        "start,end,device,interface,severity,event,kind,signals\n"
        "200,300,leaf1,,3,bgp_clear,fault,routes updates\n"
        "100,150,leaf2,e1,1,backup,bait,\n",
    )
    assert read(path, ENTITY) == [
        Event(100.0, 150.0, "backup", "bait", {"device": "leaf2", "interface": "e1"}),
        Event(200.0, 300.0, "bgp_clear", "fault", {"device": "leaf1"}, ("routes", "updates")),
    ]


def test_times_are_seconds_or_iso_8601_which_without_a_zone_is_utc(tmp_path):
    path = file(
        tmp_path,
        "start,end,event,kind\n"
        "2023-11-14T22:13:20Z,1700000060.5,a,fault\n"
        "2023-11-14 22:13:20,2023-11-14T23:14:00+01:00,b,fault\n",
    )
    times_s = [(event.start_s, event.end_s) for event in read(path, ENTITY)]
    assert times_s == [(1_700_000_000, 1_700_000_060.5), (1_700_000_000, 1_700_000_040)]


def test_a_spreadsheet_s_byte_order_mark_and_spaces_do_no_harm(tmp_path):
    path = file(tmp_path, "\ufeffstart, end, event, kind\n1, 2, a, fault\n")
    assert read(path, ENTITY) == [Event(1.0, 2.0, "a", "fault", {})]


HEAD = "start,end,device,event,kind\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column `start`; columns: none: the file is empty"),
        ("start,end,device,event\n", "no column `kind`; columns: start, end, device, event"),
        (HEAD + "1,2,d,a,fault\n5,4,d,a,fault\n", ":3: it ends (4) before it starts (5)"),
        (HEAD + "1,2,d,a,alarm\n", ":2: kind is 'alarm', not one of fault, restore, change, bait"),
        (HEAD + "soon,2,d,a,fault\n", ":2: start is 'soon', neither seconds nor ISO 8601"),
        (HEAD + "1,nan,d,a,fault\n", ":2: end is nan, not in seconds between 1970 and 2200"),
        (HEAD + "1,1700000000000,d,a,fault\n", ":2: end is 1700000000000, not in seconds"),
        (HEAD + "1,2,d,a,fault,5\n", ":2: more values than columns"),
        (HEAD + "1,2\n", ":2: kind is '', not one of"),
        (HEAD + '1,2,"d,a,fault\n', "unexpected end of data"),
        ("start,end,device,event,kind\n1,2,\xff,a,fault\n", "'utf-8' codec can't decode"),
    ],
)
def test_what_is_no_label_is_refused_by_its_line(tmp_path, text, message):
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DatasetError) as refused:
        read(path, ENTITY)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_file_of_its_own_says_in_which_signals_events_show(tmp_path):
    events = [
        Event(100.0, 200.0, "a", "fault", {"device": "d1"}),
        Event(100.0, 200.0, "a", "fault", {"device": "d2"}, ("cpu",)),
        Event(300.0, 400.0, "a", "fault", {"device": "d1"}),
    ]
    path = file(
        tmp_path,
        "start,end,device,signals\n"
        "90,110,d1,cpu load\n"
        "190,250,d1,load disk\n"  # a second one of the same event
        "150,160,d2,memory\n"
        "210,290,d1,net\n"  # between events
        "150,160,d3,net\n",  # of nobody's event
    )
    named, unused = interpreted(events, path, ("device",))
    assert [event.signals for event in named] == [("cpu", "load", "disk"), ("cpu", "memory"), ()]
    assert unused == 2
