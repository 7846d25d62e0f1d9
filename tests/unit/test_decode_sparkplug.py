"""Format `sparkplug`: payloads as pysparkplug encodes them, and as Tahu does where it differs."""

import datetime as dt

import pysparkplug as edge
import pytest
from pysparkplug import DataType
from pysparkplug._protobuf import Payload as Tahu

from detector.stream.decode import decoder
from detector.stream.decode import sparkplug_births as births
from detector.stream.decode.sparkplug_b_pb2 import Payload
from detector.stream.definition import Definition, Layout, Signal
from detector.stream.nouns import Batch, Drop, Message

ARRIVAL_S = 1_760_000_003.5
TIME_MS = 1_760_000_000_250
PUMPS = Definition(
    "pumps",
    ("group", "node", "device"),
    (Signal("temperature", field="Inlet/Temperature"), Signal("state", words=(("running", 1.0),))),
    10.0,
    60,
    "spBv1.0/#",
    "sparkplug",
)
PORTS = Definition(
    "ports",
    ("node", "port"),
    (Signal("octets", field="Ports/{port}/In Octets"), Signal("uptime")),
    10.0,
    60,
    "spBv1.0/{_}/{_}/{switch}/#",
    "sparkplug",
)


def metric(name, value, kind=DataType.DOUBLE, alias=None, time_ms=TIME_MS, **more):
    return edge.Metric(time_ms, name, kind, value, alias, **more)


BD_SEQ = metric("bdSeq", 7, DataType.INT64)


def nbirth(*metrics, seq=0, birth=BD_SEQ):
    return "NBIRTH/n1", edge.NBirth(TIME_MS, seq, [*metrics, birth]).encode()


def dbirth(*metrics, seq=1, device="d1"):
    return f"DBIRTH/n1/{device}", edge.DBirth(TIME_MS, seq, metrics).encode()


def ddata(*metrics, seq=2, device="d1", typed=False, time_ms=TIME_MS):
    return f"DDATA/n1/{device}", edge.DData(time_ms, seq, metrics).encode(include_dtypes=typed)


def ndeath(birth=BD_SEQ):
    return "NDEATH/n1", edge.NDeath(TIME_MS, birth).encode()


def ddeath(seq=9, device="d1"):
    return f"DDEATH/n1/{device}", edge.DDeath(TIME_MS, seq).encode()


def tahu(topic, *fields, seq=2, **payload):
    """Return what an edge with the whole schema writes."""
    made = Tahu(timestamp=TIME_MS, seq=seq, **payload)
    for one in fields:
        made.metrics.add(**one)
    return topic, made.SerializeToString()


class Host:
    """A stream's decoder; each message has a batch of its own."""

    def __init__(self, definition=PUMPS):
        self.reader = decoder(definition)
        self.arrival_s = ARRIVAL_S
        self.batch = Batch()

    def hear(self, *messages):
        """Decode messages; return what became of the last one. Topics go without namespace and group."""
        for topic, payload in messages:
            kind, rest = topic.split("/", 1)
            whole = topic if kind == "spBv1.0" else f"spBv1.0/g1/{kind}/{rest}"
            self.batch = Batch()
            labels = self.reader.template.match(whole)
            drop = self.reader.decode(Message(whole, payload, self.arrival_s), labels, self.batch)
        return drop

    def values(self, *messages):
        """Decode messages that are all taken; return the values of the last one, by signal."""
        assert self.hear(*messages) is None
        return dict(zip(self.batch.signal, self.batch.value, strict=True))

    @property
    def asked(self):
        return [topic for topic, _ in self.batch.replies]


def temperature(value=21.5, **more):
    return metric("Inlet/Temperature", value, **more)


# Births and data


def test_a_birth_is_a_record_and_gives_names_to_aliases():
    host = Host()
    assert host.hear(nbirth()) is Drop.NO_SIGNAL
    assert host.hear(dbirth(temperature(alias=4), metric("state", "running", DataType.STRING, 5))) is None
    assert host.batch == Batch([("g1", "n1", "d1")], [TIME_MS / 1000], [0, 0], [0, 1], [21.5, 1.0])
    assert host.values(ddata(metric(None, 22.5, alias=4), seq=2)) == {0: 22.5}
    assert host.values(ddata(metric(None, "running", DataType.STRING, 5), seq=3)) == {1: 1.0}
    assert host.asked == []


def test_alias_0_is_an_alias():
    host = Host()
    assert host.values(nbirth(), dbirth(temperature(alias=0)), ddata(metric(None, 1.0, alias=0))) == {0: 1.0}


def test_data_by_name_need_no_birth():
    assert Host().values(ddata(temperature(20.0))) == {0: 20.0}


def test_a_signal_is_the_metric_that_its_field_names_and_others_are_nothing_to_the_stream():
    host = Host()
    host.hear(nbirth(), dbirth(temperature(alias=1), metric("Inlet/Pressure", 3.0, alias=2)))
    assert host.hear(ddata(metric(None, 3.5, alias=2))) is Drop.NO_SIGNAL
    assert host.hear(ddata(metric("Temperature", 3.5), seq=3)) is Drop.NO_SIGNAL
    assert host.asked == []


def test_aliases_belong_to_their_device():
    host = Host()
    host.hear(
        nbirth(), dbirth(temperature(alias=1)), dbirth(metric("state", 0.0, alias=1), seq=2, device="d2")
    )
    assert host.values(ddata(metric(None, 5.0, alias=1), seq=3, device="d2")) == {1: 5.0}
    assert host.values(ddata(metric(None, 5.0, alias=1), seq=4, device="d1")) == {0: 5.0}


def test_a_new_birth_names_anew():
    host = Host()
    host.hear(nbirth(), dbirth(temperature(alias=1)), dbirth(metric("state", 0.0, alias=1), seq=2))
    assert host.values(ddata(metric(None, 5.0, alias=1), seq=3)) == {1: 5.0}


@pytest.mark.parametrize(
    ("kind", "value", "number"),
    [
        (DataType.INT8, -3, -3), (DataType.INT8, 127, 127), (DataType.INT16, -300, -300),
        (DataType.INT32, -1, -1), (DataType.INT32, 2**31 - 1, 2**31 - 1), (DataType.INT64, 5, 5),
        (DataType.INT64, -(2**63), -(2**63)), (DataType.UINT8, 255, 255), (DataType.UINT16, 65535, 65535),
        (DataType.UINT32, 2**32 - 1, 2**32 - 1), (DataType.UINT64, 2**64 - 1, 2.0**64),
        (DataType.FLOAT, 0.5, 0.5), (DataType.DOUBLE, -1e300, -1e300), (DataType.BOOLEAN, True, 1),
        (DataType.BOOLEAN, False, 0), (DataType.STRING, " 12.5", 12.5), (DataType.TEXT, "running", 1),
        (DataType.DATETIME, dt.datetime(2025, 10, 9, tzinfo=dt.UTC), 1_759_968_000_000),
    ],
)  # fmt: skip
@pytest.mark.parametrize("typed", [True, False])
def test_every_type_is_read_with_the_type_of_the_message_or_of_the_birth(kind, value, number, typed):
    host = Host()
    host.hear(nbirth(), dbirth(metric("state", value, kind, alias=1)))
    assert host.batch.value == [number]
    assert host.values(ddata(metric(None, value, kind, alias=1), typed=typed)) == {1: number}
    assert host.values(ddata(metric("state", value, kind), seq=3, typed=typed)) == {1: number}


@pytest.mark.parametrize(
    ("datatype", "field", "written", "number"),
    [
        (1, "int_value", 2**32 - 3, -3),  # Tahu for Java extends the sign to 32 bits
        (2, "int_value", 2**32 - 300, -300),
        (3, "long_value", 2**64 - 5, -5),
        (3, "long_value", 2**32 - 5, -5),
        (7, "long_value", 2**32 - 5, 2**32 - 5),  # and writes UInt32 as a long
        (8, "int_value", 7, 7),
        (9, "double_value", 0.5, 0.5),
        (11, "int_value", 1, 1),
        (0, "int_value", 2**31 - 1, 2**31 - 1),
        (0, "long_value", 2**63 - 1, 2.0**63),
    ],
)
def test_a_number_is_read_from_whatever_field_it_is_in(datatype, field, written, number):
    message = tahu("DDATA/n1/d1", {"name": "state", "datatype": datatype, field: written})
    assert Host().values(message) == {1: number}


def test_a_number_that_may_be_negative_needs_a_type():
    host = Host()
    message = tahu("DDATA/n1/d1", {"name": "state", "int_value": 2**32 - 1})
    assert host.hear(message) is Drop.ALIAS_UNKNOWN
    assert host.asked == ["spBv1.0/g1/NCMD/n1"]
    host.hear(nbirth(), dbirth(metric("state", 0, DataType.INT32)))
    assert host.values(message) == {1: -1}


def test_null_is_not_seen():
    host = Host()
    host.hear(nbirth(), dbirth(temperature(None, alias=1), metric("state", 1.0)))
    assert (host.batch.signal, host.batch.value) == ([1], [1.0])
    assert (
        host.hear(tahu("DDATA/n1/d1", {"alias": 1, "is_null": True, "double_value": 3.0})) is Drop.NO_SIGNAL
    )
    assert not host.batch.dropped


@pytest.mark.parametrize(
    "value",
    [
        {"datatype": 16, "dataset_value": {"num_of_columns": 1, "columns": ["x"], "types": [9]}},
        {"datatype": 19, "template_value": {"metrics": [{"name": "state", "double_value": 9.0}]}},
        {"datatype": 17, "bytes_value": b"\x01"},
        {"datatype": 22, "bytes_value": b"\x01\x02"},  # Int8Array
        {"datatype": 12, "string_value": "stopped"},
    ],
)
def test_what_is_no_number_costs_itself_only(value):
    host = Host()
    message = tahu(
        "DDATA/n1/d1", {"name": "Inlet/Temperature", "double_value": 1.0}, {"name": "state", **value}
    )
    assert host.values(message) == {0: 1.0}
    assert host.batch.dropped == {Drop.NOT_A_NUMBER: 1}


@pytest.mark.parametrize(("value", "reason"), [(float("nan"), Drop.NOT_FINITE), ("", Drop.NOT_A_NUMBER)])
def test_a_message_of_refused_values_is_no_signal(value, reason):
    host = Host()
    kind = DataType.DOUBLE if isinstance(value, float) else DataType.STRING
    assert host.hear(ddata(metric("state", value, kind))) is Drop.NO_SIGNAL
    assert host.batch.dropped == {reason: 1}


def test_properties_and_metadata_of_a_metric_do_not_matter():
    properties = {"keys": ["unit"], "values": [{"type": 12, "string_value": "C"}]}
    one = {"name": "state", "datatype": 10, "double_value": 2.0, "properties": properties}
    assert Host().values(tahu("DDATA/n1/d1", one | {"metadata": {"size": 3}}, uuid="x", body=b"y")) == {
        1: 2.0
    }


def test_historical_values_never_reach_a_window():
    host = Host()
    host.hear(nbirth(), dbirth(temperature(alias=1), metric("state", 0.0, alias=2)))
    assert host.values(ddata(metric(None, 9.0, alias=1, is_historical=True), metric(None, 1.0, alias=2))) == {
        1: 1.0
    }
    assert host.batch.dropped == {Drop.HISTORICAL: 1}
    assert host.hear(ddata(metric(None, 9.0, alias=1, is_historical=True), seq=3)) is Drop.NO_SIGNAL
    assert host.batch.dropped == {Drop.HISTORICAL: 1}


def test_a_metrics_own_time_goes_before_the_payloads_and_this_before_the_arrival():
    host = Host()
    early = TIME_MS - 2000
    host.hear(ddata(temperature(1.0, time_ms=early), metric("state", 1.0, time_ms=None)))
    assert host.batch.times_s == [early / 1000, TIME_MS / 1000]
    assert host.batch.record == [0, 1]
    host.hear(tahu("DDATA/n1/d1", {"name": "state", "timestamp": 0, "double_value": 1.0}))
    assert host.batch.times_s == [TIME_MS / 1000]
    nothing = Payload()
    nothing.metrics.add(name=b"state", double_value=1.0)
    assert host.hear(("DDATA/n1/d1", nothing.SerializeToString())) is None
    assert host.batch.times_s == [ARRIVAL_S]


def test_values_of_one_time_are_one_record():
    host = Host()
    later = TIME_MS + 1000
    host.hear(ddata(temperature(1.0), temperature(2.0, time_ms=later), metric("state", 3.0)))
    assert (host.batch.times_s, host.batch.record) == ([TIME_MS / 1000, later / 1000], [0, 0, 1])
    assert (host.batch.signal, host.batch.value) == ([0, 1, 0], [1.0, 3.0, 2.0])


def test_of_two_values_at_one_time_the_last_one_stays():
    host = Host()
    assert host.values(ddata(temperature(1.0), temperature(2.0))) == {0: 2.0}
    assert host.batch.dropped == {Drop.DUPLICATE: 1}


def test_a_time_that_is_none_is_unreadable():
    assert Host().hear(ddata(temperature(time_ms=2**63))) is Drop.TIME_UNREADABLE


# Labels


def test_levels_of_a_metrics_name_are_labels():
    host = Host(PORTS)
    names = [metric(f"Ports/{port}/In Octets", 10.0 * port, alias=port) for port in (1, 2)]
    assert host.hear(nbirth(*names, metric("Ports/1/Out Octets", 0.0))) is None
    assert host.batch.entities == [("n1", "1"), ("n1", "2")]
    assert host.batch.value == [10.0, 20.0]
    assert host.hear(tahu("NDATA/n1", {"alias": 2, "double_value": 7.0}, seq=1)) is None
    assert (host.batch.entities, host.batch.value) == ([("n1", "2")], [7.0])


def test_labels_come_from_the_template_and_by_another_name_too():
    layout = Layout(labels=(("plc", "node"),))
    definition = Definition(
        "x", ("site", "plc"), PUMPS.signals, 10.0, 60, "spBv1.0/{site}/#", "sparkplug", layout
    )
    host = Host(definition)
    host.hear(ddata(temperature()))
    assert host.batch.entities == [("g1", "n1")]


def test_a_value_of_the_node_has_no_device():
    assert Host().hear(("NDATA/n1", ddata(temperature())[1])) is Drop.ENTITY_MISSING


@pytest.mark.parametrize("name", [b"Ports/\xff/In Octets", b"Ports/" + b"p" * 600 + b"/In Octets", b"\xff"])
def test_a_name_that_is_no_text_or_without_end_means_nothing(name):
    payload = Payload()
    payload.metrics.add(name=name, double_value=1.0)
    assert Host(PORTS).hear(("NDATA/n1", payload.SerializeToString())) is Drop.NO_SIGNAL


@pytest.mark.parametrize(
    "topic",
    ["pumps/#", "spBv1.0/g/NDATA/n/d", "spBv1.0/+/DDATA/#", "spBv1.0/+/+/+/+/#", "spBv1.0/+/+/+", "+/#"],
)
def test_a_topic_that_leaves_out_what_a_node_says_is_refused(topic):
    with pytest.raises(ValueError, match="stream 'pumps': the topic of format sparkplug takes in all"):
        Host(Definition("pumps", ("node",), PUMPS.signals, 10.0, 60, topic, "sparkplug"))


@pytest.mark.parametrize("topic", ["spBv1.0/#", "spBv1.0/g1/#", "spBv1.0/{group}/{_}/n1/#", "spBv1.0/+/+/#"])
def test_a_topic_may_be_of_some_nodes(topic):
    host = Host(Definition("pumps", ("node",), PUMPS.signals, 10.0, 60, topic, "sparkplug"))
    assert host.values(ddata(temperature(1.0))) == {0: 1.0}


def test_a_field_that_is_no_template_is_refused():
    signals = (Signal("x", field="Ports/{port/x"),)
    with pytest.raises(ValueError, match=r"field 'Ports/\{port/x': .*neither literal nor"):
        Host(Definition("x", ("node",), signals, 10.0, 60, "spBv1.0/#", "sparkplug"))


# What is not for us


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("spBv1.0/STATE/scada", Drop.NO_SIGNAL),
        ("spBv1.0/g1/NCMD/n1", Drop.NO_SIGNAL),
        ("spBv1.0/g1/DCMD/n1/d1", Drop.NO_SIGNAL),
        ("spBv1.0/g1", Drop.NO_SIGNAL),
        ("spBv1.0/g1/NDATA/n1/d1", Drop.WRONG_SHAPE),
        ("spBv1.0/g1/DDATA/n1", Drop.WRONG_SHAPE),
        ("spBv1.0/g1/DDATA/n1/d1/x", Drop.WRONG_SHAPE),
        ("spBv1.0/g1/XDATA/n1", Drop.WRONG_SHAPE),
        ("spBv1.0/g1//n1", Drop.WRONG_SHAPE),
        ("spBv1.0/g1/N/n1", Drop.WRONG_SHAPE),
    ],
)
@pytest.mark.parametrize("payload", [ddata(temperature())[1], b'{"online":true,"timestamp":1}', b""])
def test_other_topics_are_told_by_the_topic_alone(topic, reason, payload):
    host = Host()
    assert host.hear((topic, payload)) is reason
    assert host.batch == Batch()


@pytest.mark.parametrize("payload", [b"\xff", b'{"temperature":1}', b"\x12\x05\x0a", b"\x12\x02\xff\xff"])
@pytest.mark.parametrize("kind", ["NBIRTH/n1", "DDATA/n1/d1", "NDEATH/n1"])
def test_what_is_no_protobuf_is_malformed(kind, payload):
    host = Host()
    host.hear(nbirth(), dbirth(temperature(alias=1)))
    assert host.hear((kind, payload)) is Drop.MALFORMED
    assert host.values(ddata(metric(None, 1.0, alias=1))) == {0: 1.0}, "and it changes nothing"


def test_nothing_is_no_payload_but_of_a_death():
    host = Host()
    assert host.hear(("DDATA/n1/d1", b"")) is Drop.PAYLOAD_EMPTY
    host.hear(dbirth(temperature()))
    assert host.hear(("DDEATH/n1/d1", b"")) is None


# Numbers, and births that are asked for


def test_data_by_alias_without_a_birth_ask_for_it():
    host = Host()
    assert host.hear(ddata(metric(None, 1.0, alias=4))) is Drop.ALIAS_UNKNOWN
    ((topic, payload),) = host.batch.replies
    assert topic == "spBv1.0/g1/NCMD/n1"
    command = edge.NCmd.decode(payload)
    assert command.timestamp == int(ARRIVAL_S * 1000)
    (rebirth,) = command.metrics
    assert (rebirth.name, rebirth.datatype, rebirth.value) == ("Node Control/Rebirth", DataType.BOOLEAN, True)


def test_what_has_a_name_beside_what_has_none_is_taken():
    host = Host()
    assert host.values(ddata(temperature(3.0), metric(None, 1.0, alias=4), metric(None, 1.0, alias=5))) == {
        0: 3.0
    }
    assert host.batch.dropped == {Drop.ALIAS_UNKNOWN: 2}
    assert host.asked


def test_a_node_is_asked_once_a_minute():
    host = Host()
    asked = []
    for second in range(0, 130, 10):
        host.arrival_s = ARRIVAL_S + second
        host.hear(ddata(metric(None, 1.0, alias=4)))
        asked += [second] * len(host.asked)
    assert asked == [0, 60, 120]
    host.arrival_s = ARRIVAL_S - 1e6
    host.hear(ddata(metric(None, 1.0, alias=4)))
    assert host.asked, "the clock went back"


@pytest.mark.parametrize("arrival_s", [float("nan"), float("inf"), 1e308, -1.0])
def test_nobody_is_asked_at_a_time_that_is_none(arrival_s):
    host = Host()
    host.arrival_s = arrival_s
    assert host.hear(ddata(metric(None, 1.0, alias=4))) is Drop.ALIAS_UNKNOWN
    assert host.asked == []


def test_of_a_capture_without_times_what_came_twice_raises_no_doubt():
    host = Host()
    host.arrival_s = float("nan")
    host.hear(nbirth(), dbirth(temperature(alias=1)), ddata(metric(None, 1.0, alias=1)))
    assert host.values(ddata(metric(None, 1.0, alias=1))) == {0: 1.0}
    host.hear(ddata(metric(None, 1.0, alias=1), seq=4))
    assert host.values(ddata(metric(None, 1.0, alias=1), seq=3)) == {0: 1.0}


def test_not_all_nodes_are_asked_at_once():
    host = Host()
    asked = 0
    for node in range(births.REBIRTHS_MAX + 50):
        host.hear((f"DDATA/n{node}/d1", ddata(metric(None, 1.0, alias=4))[1]))
        asked += len(host.asked)
    assert asked == births.REBIRTHS_MAX


@pytest.mark.parametrize(
    ("numbers", "missed"),
    [
        ([0, 1, 2, 3], 0),
        ([254, 255, 0, 1], 0),
        ([0, 1, 3], 1),
        ([250, 5], 10),
        ([0, 100], 99),
        ([0, 1, 1, 2], 0),  # a message that came twice
        ([0, 2, 1, 3], 1),  # one that was overtaken was missed only for a moment
        ([0, 0], 0),
        ([5, None, 6], 0),
        ([5, 300, 6], 0),
    ],
)
def test_a_gap_in_the_numbers_is_counted_and_a_birth_asked_for(numbers, missed):
    host = Host()
    host.hear(nbirth(seq=numbers[0]))
    counted, asked = 0, []
    for number in numbers[1:]:
        payload = Tahu(timestamp=TIME_MS, **({} if number is None else {"seq": number}))
        payload.metrics.add(name="Inlet/Temperature", double_value=1.0)
        assert host.hear(("DDATA/n1/d1", payload.SerializeToString())) is None, "it is good in itself"
        counted += host.batch.missed
        asked += host.asked
    assert counted == missed
    assert asked == ["spBv1.0/g1/NCMD/n1"] * (missed > 0)


def test_a_node_and_its_devices_share_one_count():
    host = Host()
    messages = [
        nbirth(),
        dbirth(temperature()),
        dbirth(temperature(), seq=2, device="d2"),
        ddata(temperature(), seq=3),
    ]
    for message in [*messages, ddeath(seq=4), ddata(temperature(), seq=5, device="d2")]:
        host.hear(message)
        assert host.batch.missed == 0
    host.hear(ddata(temperature(), seq=7, device="d2"))
    assert host.batch.missed == 1


def test_a_birth_begins_the_count_anew():
    host = Host()
    host.hear(nbirth(seq=0), dbirth(temperature(), seq=1), nbirth(seq=0), dbirth(temperature(), seq=1))
    assert host.batch.missed == 0


# Births that may have been missed


def by_alias(value, seq, device="d1", alias=1):
    return ddata(metric(None, value, alias=alias), seq=seq, device=device)


def two_pumps():
    """Return a host that knows both pumps, up to number 5."""
    host = Host()
    host.hear(nbirth(), dbirth(temperature(alias=1)), dbirth(temperature(alias=1), seq=2, device="d2"))
    assert host.values(*(by_alias(1.0, seq) for seq in (3, 4, 5))) == {0: 1.0}
    return host


@pytest.mark.parametrize(
    ("number", "missed", "after_s"),
    [(7, 1, 1.0), (100, 94, 1.0), (1, 251, 3600.0), (4, 254, 5.1), (5, 255, 5.1)],
)
def test_after_a_gap_values_by_alias_are_refused_and_those_by_name_are_good(number, missed, after_s):
    host = two_pumps()
    host.arrival_s += after_s
    assert host.hear(by_alias(1001.0, number)) is Drop.ALIAS_UNKNOWN
    assert (host.batch.missed, host.asked) == (missed, ["spBv1.0/g1/NCMD/n1"])
    assert host.hear(by_alias(1001.0, number + 1, "d2")) is Drop.ALIAS_UNKNOWN, "they share the node's count"
    assert host.values(ddata(temperature(20.0), seq=number + 2)) == {0: 20.0}


def test_a_node_of_doubtful_aliases_is_asked_until_it_is_born():
    host = two_pumps()
    asked = []
    for second in range(130):
        host.arrival_s = ARRIVAL_S + second
        assert host.hear(by_alias(1.0, 7 + second)) is Drop.ALIAS_UNKNOWN
        asked += [second] * len(host.asked)
    assert asked == [0, 60, 120]
    host.hear(nbirth(), dbirth(metric("state", 0.0, alias=1)))
    assert host.values(by_alias(5.0, 2)) == {1: 5.0}


def test_the_birth_of_a_device_ends_the_doubts_of_this_device_alone():
    host = two_pumps()
    host.hear(by_alias(1.0, 7), dbirth(metric("state", 0.0, alias=1), seq=8))
    assert host.values(by_alias(5.0, 9)) == {1: 5.0}
    assert host.hear(by_alias(5.0, 10, "d2")) is Drop.ALIAS_UNKNOWN


def test_a_type_that_a_name_had_holds_while_aliases_are_doubtful():
    host = Host()
    host.hear(nbirth(), dbirth(metric("state", -1, DataType.INT32, alias=1)))
    assert host.values(ddata(metric("state", -3, DataType.INT32), seq=4)) == {1: -3.0}
    assert host.batch.missed == 2


def test_when_all_that_was_missing_has_come_in_time_aliases_are_good_again():
    host = two_pumps()
    assert host.hear(by_alias(8.0, 8)) is Drop.ALIAS_UNKNOWN
    assert host.hear(by_alias(6.0, 6)) is Drop.ALIAS_UNKNOWN, "7 may be a birth"
    assert host.values(by_alias(7.0, 7)) == {0: 7.0}
    assert host.values(by_alias(9.0, 9, "d2")) == {0: 9.0}


def test_what_was_missing_and_comes_too_late_ends_no_doubt():
    host = two_pumps()
    host.hear(by_alias(7.0, 7))
    host.arrival_s += 4.0
    host.hear(by_alias(8.0, 8))
    host.arrival_s += 4.0
    assert host.hear(by_alias(6.0, 6)) is Drop.ALIAS_UNKNOWN
    assert host.hear(by_alias(9.0, 9)) is Drop.ALIAS_UNKNOWN


def test_a_message_that_comes_twice_raises_no_doubt_and_ends_none():
    host = two_pumps()
    assert host.values(by_alias(5.0, 5), by_alias(4.0, 4)) == {0: 4.0}
    assert host.hear(by_alias(8.0, 8), by_alias(8.0, 8), by_alias(6.0, 6), by_alias(6.0, 6)) is (
        Drop.ALIAS_UNKNOWN
    )


def test_a_node_whose_birth_may_have_been_missed_dies_of_any_will():
    host = two_pumps()
    newer = metric("bdSeq", 8, DataType.INT64)
    assert host.hear(ndeath(newer)) is Drop.NO_SIGNAL, "it is of another life, and no number is missing"
    host.hear(by_alias(7.0, 7))
    assert host.hear(ndeath(newer)) is None
    assert gone(host) == [("g1", "n1", "d1"), ("g1", "n1", "d2")]


# Deaths


def gone(host):
    assert all(count == 0 for count, _ in host.batch.silenced)
    return sorted(tuple(labels.values()) for _, labels in host.batch.silenced)


def test_the_death_of_a_device_silences_it_and_its_aliases():
    host = Host()
    host.hear(nbirth(), dbirth(temperature(alias=1)), dbirth(temperature(alias=2), seq=2, device="d2"))
    assert host.hear(ddeath(seq=3)) is None
    assert host.batch.silenced == [(0, {"group": "g1", "node": "n1", "device": "d1"})]
    assert host.hear(ddata(metric(None, 1.0, alias=1), seq=4)) is Drop.ALIAS_UNKNOWN
    assert host.values(ddata(metric(None, 1.0, alias=2), seq=5, device="d2")) == {0: 1.0}
    assert host.hear(ddeath(seq=6)) is Drop.NO_SIGNAL, "nobody dies twice"


def test_the_death_of_a_node_silences_all_of_its_devices():
    host = Host()
    host.hear(nbirth(), dbirth(temperature(alias=1)), dbirth(temperature(), seq=2, device="d2"))
    assert host.hear(ndeath()) is None
    assert gone(host) == [("g1", "n1", "d1"), ("g1", "n1", "d2")]
    assert host.hear(ddata(metric(None, 1.0, alias=1), seq=4)) is Drop.ALIAS_UNKNOWN


def test_a_late_will_does_not_kill_a_newer_birth():
    host = Host()
    newer = metric("bdSeq", 8, DataType.INT64)
    host.hear(nbirth(), dbirth(temperature(alias=1)), nbirth(birth=newer), dbirth(temperature(alias=1)))
    assert host.hear(ndeath()) is Drop.NO_SIGNAL
    assert host.batch.silenced == []
    assert host.values(ddata(metric(None, 1.0, alias=1))) == {0: 1.0}
    assert host.hear(ndeath(newer)) is None
    assert gone(host) == [("g1", "n1", "d1")]


def test_a_node_whose_birth_was_not_seen_dies_of_any_will():
    host = Host()
    host.hear(ddata(temperature()))
    assert host.hear(ndeath()) is None
    assert gone(host) == [("g1", "n1", "d1")]


def test_entities_named_by_metrics_die_with_the_node():
    host = Host(PORTS)
    host.hear(nbirth(metric("Ports/1/In Octets", 1.0), metric("Ports/2/In Octets", 1.0)))
    host.hear(ndeath())
    assert gone(host) == [("n1", "1"), ("n1", "2")]


def test_after_a_birth_of_the_node_each_device_is_born_again_before_it_speaks():
    host = Host()
    host.hear(nbirth(), dbirth(temperature(alias=1)), nbirth())
    assert host.hear(ddata(metric(None, 1.0, alias=1), seq=1)) is Drop.ALIAS_UNKNOWN
    assert host.values(dbirth(temperature(alias=1)), ddata(metric(None, 2.0, alias=1))) == {0: 2.0}


def test_who_was_heard_before_a_new_birth_still_dies_with_the_node():
    host = Host()
    host.hear(nbirth(), dbirth(temperature()), nbirth(), ndeath())
    assert gone(host) == [("g1", "n1", "d1")]


# Limits


def small(**changed):
    return Definition(
        "pumps",
        ("node", "device"),
        (Signal("x"),),
        10.0,
        60,
        "spBv1.0/#",
        "sparkplug",
        entities_max=2,
        **changed,
    )


def test_names_and_aliases_are_held_up_to_the_limit_of_the_entities_and_no_birth_is_asked_for_beyond():
    host = Host(small())
    for node in range(50):
        host.hear(
            (f"NBIRTH/n{node}", nbirth()[1]), (f"DBIRTH/n{node}/d", dbirth(metric("x", 1.0, alias=1))[1])
        )
        assert host.batch.value == [1.0], "what has a name is taken"
    by_alias = ddata(metric(None, 2.0, alias=1))[1]
    assert host.values(("DDATA/n0/d", by_alias)) == {0: 2.0}
    assert host.hear(("DDATA/n40/d", by_alias)) is Drop.ALIAS_UNKNOWN
    assert host.asked == []


def test_who_has_not_spoken_for_the_time_of_expiry_makes_room():
    host = Host(small(expire_s=1000.0))
    for node in range(50):
        host.hear(
            (f"NBIRTH/n{node}", nbirth()[1]), (f"DBIRTH/n{node}/d", dbirth(metric("x", 1.0, alias=1))[1])
        )
    host.arrival_s += 1001.0
    host.hear(("NBIRTH/new", nbirth()[1]), ("DBIRTH/new/d", dbirth(metric("x", 1.0, alias=1))[1]))
    by_alias = ddata(metric(None, 2.0, alias=1))[1]
    assert host.values(("DDATA/new/d", by_alias)) == {0: 2.0}
    assert host.hear(("DDATA/n0/d", by_alias)) is Drop.ALIAS_UNKNOWN


def test_all_that_was_held_is_free_after_death():
    host = Host(PORTS)
    held = births.Births(PORTS)
    host.reader.decode.__self__._births = held
    for _ in range(3):
        host.hear(nbirth(metric("Ports/1/In Octets", 1.0, alias=1), metric("uptime", 1.0)), dbirth())
        host.hear(ddata(metric("Ports/9/In Octets", 1.0)))
        assert held.things == 8, "a node, two devices, two entities, two names, an alias"
        host.hear(ddeath(), dbirth(seq=10), ndeath())
        assert held.things == 0
