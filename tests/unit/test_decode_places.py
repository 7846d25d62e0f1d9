"""Paths with conditions, and records under keys that are labels."""

import pytest

from detector.stream.decode import decoder
from detector.stream.decode.paths import ITEMS_MAX, find, parse_path
from detector.stream.decode.records import RECORDS_MAX
from detector.stream.definition import Definition, Layout, Signal
from detector.stream.nouns import Batch, Drop, Message

ARRIVAL_S = 1_760_000_003.5

# An array that names its items, as OpenConfig and Redfish have them
SENSORS = {
    "sensors": [
        {"name": "cpu", "value": 41, "state": {"ok": True, "slot": 1}},
        {"name": "psu.1", "value": 39, "state": {"ok": False, "slot": 2}},
        {"name": "cpu", "value": 43, "state": {"ok": True, "slot": 3.5}},
        {"name": 7, "value": 7},
        "cpu",
        {"name": None, "value": 0},
    ]
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sensors[name=cpu].value", 41), ("sensors[name=psu.1].value", 39), ("sensors[name=7].value", 7),
        ("sensors[state.slot=3.5].value", 43), ("sensors[state.ok=false].value", 39),
        ("sensors[name=cpu][state.slot=3.5].value", 43), ("sensors[name=cpu][state.slot=2].value", None),
        ("sensors[name=cpu].state.slot", 1), ("sensors.0.value", 41), ("sensors.9.value", None),
        ("sensors[name=fan].value", None), ("sensors[name=].value", None), ("sensors[nome=cpu].value", None),
        ("sensors[name=None].value", None), ("sensors[name=cpu].none", None), ("sensors.value", None),
        ("sensors[name].value", None), ("sensors[0].value", None), ("sensors[name=cpu", None),
        ("[name=cpu].value", None), ("fans[name=cpu].value", None),
    ],
)  # fmt: skip
def test_a_condition_takes_the_first_object_that_meets_it(path, value):
    assert find(SENSORS, parse_path(path)) == value


def test_a_path_may_begin_and_end_with_a_condition():
    assert find(SENSORS["sensors"], parse_path("[name=psu.1].value")) == 39
    assert find(SENSORS, parse_path("sensors[name=psu.1]")) is SENSORS["sensors"][1]


def test_a_key_that_is_literally_the_rest_of_the_path_wins():
    gnmi = {"port[name=e0].rx": 1, "port": [{"name": "e0", "rx": 2, "tx": 3}]}
    assert find(gnmi, parse_path("port[name=e0].rx")) == 1
    assert find(gnmi, parse_path("port[name=e0].tx")) == 3


def test_no_more_items_are_searched_than_the_limit():
    items = [{"n": index, "v": index} for index in range(ITEMS_MAX + 1)]
    assert find(items, parse_path(f"[n={ITEMS_MAX - 1}].v")) == ITEMS_MAX - 1
    assert find(items, parse_path(f"[n={ITEMS_MAX}].v")) is None


def stream(*signals, entity=("device", "interface"), topic="t/{device}", **layout):
    return Definition("x", entity, signals or (Signal("rx"),), 10.0, 60, topic, "json", Layout(**layout))


def decode(definition, payload, topic="t/r1"):
    reader = decoder(definition)
    batch = Batch()
    drop = reader.decode(Message(topic, payload, ARRIVAL_S), reader.template.match(topic), batch)
    return drop, batch


def test_signals_and_labels_are_found_by_conditions():
    definition = stream(
        Signal("cpu", field="sensors[name=cpu].value"),
        entity=("device", "serial"),
        labels=(("serial", "ids[kind=serial].id"),),
    )
    payload = (
        b'{"ids":[{"kind":"mac","id":1},{"kind":"serial","id":"S7"}],"sensors":[{"name":"cpu","value":41}]}'
    )
    drop, batch = decode(definition, payload)
    assert (drop, batch.entities, batch.value) == (None, [("r1", "S7")], [41.0])


PORTS = b'{"time":5,"ports":{"eth0":{"rx":1},"eth1":{"rx":2,"time":6},"down":null,"bad":3}}'


def test_every_key_of_an_object_is_a_record_and_its_label():
    drop, batch = decode(stream(records="ports.{interface}"), PORTS)
    assert drop is None
    assert batch.entities == [("r1", "eth0"), ("r1", "eth1")]
    assert (batch.times_s, batch.value) == ([5.0, 6.0], [1.0, 2.0])
    assert batch.dropped == {Drop.WRONG_SHAPE: 1}  # which a number is, and null is not seen


@pytest.mark.parametrize(
    ("records", "payload", "entities"),
    [
        ("{interface}", b'{"eth0":{"rx":1}}', [("r1", "eth0")]),
        ("{interface}.counters", b'{"eth0":{"counters":{"rx":1}},"eth1":{}}', [("r1", "eth0")]),
        ("a.{_}.ports.{interface}", b'{"a":{"x":{"ports":{"e0":{"rx":1}}},"y":{"ports":{"e1":{"rx":1}}}}}',
         [("r1", "e0"), ("r1", "e1")]),
        ("a.{_}.ports.{interface}", b'{"a":{"x":{"ports":[]},"y":{"ports":{"e1":{"rx":1}}}}}',
         [("r1", "e1")]),
        ("{_}", b'{"a":[{"interface":"e0","rx":1},{"interface":"e1","rx":2}]}', [("r1", "e0"), ("r1", "e1")]),
        ("{interface}", b'{"a":[{"rx":1},{"rx":2}]}', [("r1", "a"), ("r1", "a")]),
        ("slots[id=2].ports.{interface}", b'{"slots":[{"id":1},{"id":2,"ports":{"e0":{"rx":1}}}]}',
         [("r1", "e0")]),
        ("slots[id=2].ports", b'{"slots":[{"id":2,"ports":[{"interface":"e0","rx":1}]}]}', [("r1", "e0")]),
        ("{interface}", b'{" e0\\t":{"rx":1}}', [("r1", "e0")]),
        ("{interface}", b'{"e0":{"rx":1,"interface":"in the record"}}', [("r1", "e0")]),
        ("{device}.{interface}", b'{"not the topic":{"e0":{"rx":1}}}', [("r1", "e0")]),
    ],
)  # fmt: skip
def test_records_are_found_wherever_they_are(records, payload, entities):
    drop, batch = decode(stream(records=records), payload)
    assert (drop, batch.entities) == (None, entities)


@pytest.mark.parametrize(
    ("payload", "drop"),
    [
        (b"{}", Drop.WRONG_SHAPE), (b'{"ports":[]}', Drop.WRONG_SHAPE), (b'{"ports":null}', Drop.WRONG_SHAPE),
        (b"[]", Drop.WRONG_SHAPE), (b"5", Drop.WRONG_SHAPE), (b'{"ports":{}}', Drop.NO_SIGNAL),
        (b'{"ports":{"e0":null}}', Drop.NO_SIGNAL), (b'{"ports":{"e0":5}}', Drop.WRONG_SHAPE),
        (b'{"ports":{"":{"rx":1}}}', Drop.ENTITY_MISSING), (b'{"ports":{"e0":{"tx":1}}}', Drop.NO_SIGNAL),
        (b'{"ports":{%s}}' % b",".join(b'"e%d":{"rx":1}' % index for index in range(RECORDS_MAX + 1)),
         Drop.RECORDS_MAX),
    ],
    ids=lambda value: repr(value[:30]),
)  # fmt: skip
def test_what_has_no_records_under_keys_is_dropped_with_its_reason(payload, drop):
    refusal, batch = decode(stream(records="ports.{interface}"), payload)
    assert (refusal, batch) == (drop, Batch())


def test_a_pattern_looks_into_a_key():
    definition = stream(
        entity=("slot", "port"), records="{name}", patterns=(("name", r"(?P<slot>\d+)/(?P<port>\d+)"),)
    )
    assert decode(definition, b'{"1/7":{"rx":1}}')[1].entities == [("1", "7")]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ("ports.{name}", "records: 'name' is no label of the entity"),
        ("ports.{if-name}", r"records: '\{if-name\}' is neither a key nor \{label\}"),
        ("ports.{interface", r"records: '\{interface' is neither a key nor \{label\}"),
    ],
)
def test_a_level_that_makes_no_sense_is_refused(records, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        decoder(stream(records=records))
