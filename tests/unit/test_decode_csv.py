"""Format `csv`: rows as Telegraf and RFC 4180 write them, with and without a line of names."""

from collections import Counter

import pytest

from detector.stream.decode import decoder
from detector.stream.decode.records import RECORDS_MAX
from detector.stream.definition import Definition, Layout, Signal
from detector.stream.nouns import Batch, Drop, Message
from tests.support.growth import growth

ARRIVAL_S = 1_760_000_003.5

# Telegraf's csv serializer, csv_header = true: the documentation's docker host.
DOCKER = (
    b"timestamp,measurement,host,n_containers,n_images\n"
    b"1458229140,docker,raynor,30,660\n"
    b"1458229143,docker,raynor,28,665\n"
)
# Telegraf's csv parser: its documentation's input.
CPU = b"measurement,cpu,time_user,time_system,time_idle,time\ncpu,cpu0,42,42,42,2018-09-13T13:03:28Z\n"
# RFC 4180, section 2: quotes, a comma, a quote and a line break in a cell.
QUOTED = (
    b'"device","port","rx"\r\n'
    b'"r1","Gi0/0/1, uplink",1\r\n'
    b'"r1","19"" rack",2\r\n'
    b'"r1","two\r\nlines",3\r\n'
    b"r1,plain,4"
)


def stream(*signals, entity=("device",), **layout):
    return Definition(
        "x",
        entity,
        tuple(Signal(name) if isinstance(name, str) else name for name in signals),
        10.0,
        60,
        "t/#",
        "csv",
        Layout(**layout),
    )


def decode(definition, payload, topic="t/any"):
    reader = decoder(definition)
    batch = Batch()
    drop = reader.decode(Message(topic, payload, ARRIVAL_S), reader.template.match(topic), batch)
    return drop, batch


FLAT = stream("temp", "hum")
BARE = stream("temp", "hum", columns=("device", "temp", "", "hum", ""))


def test_each_row_is_a_record_under_the_names_of_the_first_line():
    drop, batch = decode(stream("n_images", "n_containers", entity=("host",)), DOCKER)
    assert drop is None
    assert batch == Batch(
        [("raynor",), ("raynor",)],
        [1_458_229_140.0, 1_458_229_143.0],
        [0, 0, 1, 1],
        [0, 1, 0, 1],
        [660.0, 30.0, 665.0, 28.0],
    )


def test_a_time_may_be_iso_8601():
    _, batch = decode(stream("time_idle", entity=("cpu",)), CPU)
    assert (batch.entities, batch.times_s, batch.value) == ([("cpu0",)], [1_536_843_808.0], [42.0])


def test_without_a_line_of_names_the_settings_name_the_columns():
    drop, batch = decode(BARE, b"r1,21.5,x,40,\nr2,22.5,y,50,z")
    assert drop is None
    assert batch == Batch(
        [("r1",), ("r2",)], [ARRIVAL_S] * 2, [0, 0, 1, 1], [0, 1, 0, 1], [21.5, 40.0, 22.5, 50.0]
    )


def test_a_line_that_repeats_the_names_is_no_row():
    named = stream("temp", columns=("device", "temp"))
    assert decode(named, b"device,temp\nr1,1\ndevice,temp\nr2,2")[1].value == [1.0, 2.0]
    assert decode(FLAT, b"device,temp\nr1,1\ndevice,temp\nr2,2")[1].value == [1.0, 2.0]


@pytest.mark.parametrize(
    ("delimiter", "payload"),
    [
        (";", b"device;temp;hum\nr1;1;2"),
        ("\t", b"device\ttemp\thum\nr1\t1\t2\n"),
        ("|", b"device|temp|hum\nr1|1|2"),
        (" ", b"device temp  hum\nr1   1 2"),
        (",", b"device, temp, hum\r\nr1, 1, 2\r\n"),
        (",", b"device,temp,hum\rr1,1,2\r"),
        (",", b"\xef\xbb\xbfdevice,temp,hum\n\n  \nr1,1,2\n,,\n\0"),
        (",", b"device,temp,hum,\nr1,1,2,,"),
    ],
)
def test_rows_are_read_however_they_are_written(delimiter, payload):
    drop, batch = decode(stream("temp", "hum", delimiter=delimiter), payload)
    assert (drop, batch.entities, batch.value, batch.dropped) == (None, [("r1",)], [1.0, 2.0], {})


def test_quotes_are_those_of_the_standard():
    drop, batch = decode(stream("rx", entity=("device", "port")), QUOTED)
    assert (drop, batch.value) == (None, [1.0, 2.0, 3.0, 4.0])
    assert [port for _, port in batch.entities] == ["Gi0/0/1, uplink", '19" rack', "two\ufffdlines", "plain"]


def test_an_empty_cell_is_not_seen():
    drop, batch = decode(FLAT, b'device,temp,hum,time\nr1,,40,\nr2,21,"",1760000000\n')
    assert drop is None
    assert (batch.signal, batch.value, batch.dropped) == ([1, 0], [40.0, 21.0], {})
    assert batch.times_s == [ARRIVAL_S, 1_760_000_000.0]


def test_the_settings_name_the_time_and_the_labels():
    definition = stream("temp", time="at", time_unit="ms", labels=(("device", "unit"),))
    _, batch = decode(definition, b"at,unit,time,temp\n5000,r1,1,7")
    assert (batch.times_s, batch.entities) == ([5.0], [("r1",)])


def test_a_column_that_is_a_signal_is_not_the_time():
    _, batch = decode(stream("time"), b"device,time\nr1,12.5")
    assert (batch.times_s, batch.value) == ([ARRIVAL_S], [12.5])


def test_a_word_is_what_the_settings_say():
    link = stream(Signal("link", words=(("up", 1.0),)), "temp")
    assert decode(link, b"device,link,temp\nr1,up,true")[1].value == [1.0, 1.0]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (b"x", Drop.NOT_A_NUMBER), (b"1_0", Drop.NOT_A_NUMBER), (b"\xd9\xa7", Drop.NOT_A_NUMBER),
        (b'"1,5"', Drop.NOT_A_NUMBER), (b"NaN", Drop.NOT_FINITE), (b"-inf", Drop.NOT_FINITE),
        (b"1e999", Drop.NOT_FINITE),
    ],
)  # fmt: skip
def test_a_refused_value_is_counted_and_the_others_go_on(cell, reason):
    drop, batch = decode(FLAT, b"device,temp,hum\nr_1,%s,40" % cell)
    assert (drop, batch.signal, batch.value, batch.dropped) == (None, [1], [40.0], {reason: 1})
    only = decode(FLAT, b"device,temp\nr_1,%s" % cell)
    assert only == (Drop.NO_SIGNAL, Batch(dropped=Counter({reason: 1})))


@pytest.mark.parametrize("row", [b"r1", b"r1,1", b"r1,1,2,3", b'"r1"x,1,2', b'r1,1,2,"x"'])
def test_a_row_that_does_not_fit_is_malformed_and_the_others_go_on(row):
    assert decode(FLAT, b"device,temp,hum\n" + row) == (Drop.MALFORMED, Batch())
    drop, batch = decode(FLAT, b"device,temp,hum\nr2,3,4\n%s\nr3,5,6" % row)
    assert (drop, batch.value, batch.dropped) == (None, [3.0, 4.0, 5.0, 6.0], {Drop.MALFORMED: 1})


def test_a_quote_that_nothing_closes_costs_the_rest():
    drop, batch = decode(FLAT, b'device,temp,hum\nr2,3,4\nr1,1,"2\nr3,5,6')
    assert (drop, batch.value, batch.dropped) == (None, [3.0, 4.0], {Drop.MALFORMED: 1})


@pytest.mark.parametrize(
    ("payload", "drop"),
    [
        (b"", Drop.PAYLOAD_EMPTY), (b" \r\n\n", Drop.PAYLOAD_EMPTY), (b"\0", Drop.PAYLOAD_EMPTY),
        (b"device,temp,hum\n", Drop.NO_SIGNAL), (b"12.5", Drop.NO_SIGNAL), (b",,\n,,", Drop.NO_SIGNAL),
        (b"device,wind\nr1,5", Drop.NO_SIGNAL), (b"device,temp,hum\nr1,,", Drop.NO_SIGNAL),
        (b'"device', Drop.MALFORMED), (b'"device"x,temp\nr1,5', Drop.MALFORMED),
        (b"temp,hum\n1,2", Drop.ENTITY_MISSING), (b"device,temp\n,2", Drop.ENTITY_MISSING),
        (b"device,temp\n%s,2" % (b"r" * 257), Drop.WRONG_SHAPE),
        (b"device,temp,time\nr1,2,soon", Drop.TIME_UNREADABLE),
        (b"device,temp,time\nr1,2,0", Drop.TIME_UNREADABLE),
        (b"device,temp\n" + b"r1,1\n" * (RECORDS_MAX + 1), Drop.RECORDS_MAX),
        (b'device,temp\n"%s",1' % (b"r" * 200_000), Drop.MALFORMED),
    ],
    ids=lambda value: repr(value[:30]),
)  # fmt: skip
def test_a_bad_message_is_dropped_as_a_whole_with_its_reason(payload, drop):
    assert decode(FLAT, payload) == (drop, Batch())


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", "\r", "\0"])
def test_a_delimiter_that_cannot_be_one_is_refused(delimiter):
    with pytest.raises(ValueError, match=r"stream 'x': .* cannot be the delimiter of columns"):
        decoder(stream("temp", delimiter=delimiter))


def test_a_column_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="stream 'x': column 'temp' stands twice"):
        decoder(stream("temp", columns=("temp", "", "", "temp")))


@pytest.mark.parametrize("line", [b'"', b'""', b'a,"', b'"\n', b'a,b"\n"', b",", b"\n", b"a,1\n", b'"a"b\n'])
def test_the_time_is_linear_whatever_comes(line):
    assert growth(lambda times: decode(FLAT, b"device,temp\n" + line * times)) < 32  # the square would be 64
