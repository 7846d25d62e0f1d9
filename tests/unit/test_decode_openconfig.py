"""Format `openconfig`: what gnmic, pygnmi and protobuf's JSON make of gNMI, from several vendors' devices."""

import base64
import json
from collections import Counter
from dataclasses import replace

import pytest

from detector.stream.decode import decoder
from detector.stream.decode.gnmi import ELEMENTS_MAX, PATH_CHARS_MAX, Path, Tree, as_text
from detector.stream.decode.records import RECORDS_MAX
from detector.stream.definition import Definition, Layout, Signal
from detector.stream.nouns import Batch, Drop, Message

ARRIVAL_S = 1_760_000_003.5
TIME_S = 1_760_000_000.25
NS = 1_760_000_000_250_000_000

INTERFACES = Definition(
    "interfaces",
    ("source", "interface_name"),
    (
        Signal("in", "counter", field="interface/state/counters/in-octets"),
        Signal("out", "counter", field="state/counters/out-octets"),
        Signal("link", field="oper-status", words=(("UP", 1.0), ("DOWN", 0.0))),
    ),
    10.0,
    60,
    "gnmi/#",
    "openconfig",
)
NEIGHBOURS = Definition(
    "neighbours",
    ("target", "vrf", "peer"),
    (Signal("received", field="state/prefixes/received"), Signal("up", field="neighbor/state/enabled")),
    10.0,
    60,
    "gnmi/#",
    "openconfig",
    Layout(labels=(("vrf", "network-instance_name"), ("peer", "neighbor_neighbor-address"))),
)


def decode(document, definition=INTERFACES, topic="gnmi/any"):
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    reader = decoder(definition)
    batch = Batch()
    drop = reader.decode(Message(topic, payload, ARRIVAL_S), reader.template.match(topic), batch)
    return drop, batch


def found(document, definition=INTERFACES):
    """Return entity -> signal -> value."""
    drop, batch = decode(document, definition)
    assert drop is None, drop
    assert set(batch.times_s) == {TIME_S}
    samples = {}
    for record, signal, value in zip(batch.record, batch.signal, batch.value, strict=True):
        samples.setdefault(batch.entities[record], {})[definition.signals[signal].name] = value
    return samples


def event(values, **tags):
    name = {"name": "sub1", "timestamp": NS}
    return name | {"tags": {"source": "r1", "subscription-name": "sub1"} | tags, "values": values}


def notice(*updates, **more):
    source = {"source": "r1", "subscription-name": "default-1652375806", "timestamp": NS}
    return source | {"time": "2025-10-09T08:53:20.25Z", "updates": list(updates)} | more


def elems(*names, **keys):
    """Return a path as protobuf's JSON has it; its last element has the keys."""
    path = [{"name": name} for name in names]
    return {"elem": [*path[:-1], path[-1] | {"key": keys}] if keys else path}


def update(path, **val):
    return {"path": path, "val": val}


COUNTERS = "interfaces/interface[name={}]/state/counters"
ET1 = {("r1", "Ethernet1"): {"in": 7, "out": 8}}
ETHERNET = elems("interfaces", "interface", name="Ethernet1")
# Arista's state of an interface in JSON_IETF, shortened.
ARISTA = {
    "arista-intf-augments:inactive": False,
    "openconfig-interfaces:counters": {
        "in-octets": "10041381967",
        "in-errors": "0",
        "out-octets": "23569377019",
    },
    "openconfig-interfaces:description": "",
    "openconfig-interfaces:oper-status": "UP",
}


@pytest.mark.parametrize(
    ("document", "samples"),
    [
        # gnmic, format event: a leaf an event (Juniper), several, and with the names of modules.
        (
            [
                event({"/interfaces/interface/state/counters/in-octets": 7114902}, interface_name="em0"),
                event({"/interfaces/interface/state/oper-status": "UP"}, interface_name="em0"),
            ],
            {("r1", "em0"): {"in": 7114902, "link": 1}},
        ),
        (
            event(
                {
                    "/openconfig-interfaces:interfaces/interface/state/counters/in-octets": 7,
                    "/openconfig-interfaces:interfaces/interface/state/counters/out-octets": "8",
                },
                interface_name="Ethernet1",
            ),
            ET1,
        ),
        (
            event({"openconfig:/interfaces/interface/state/oper-status": "DOWN"}, interface_name="vlan3745"),
            {("r1", "vlan3745"): {"link": 0}},
        ),
        # gnmic, format json: leaves, a container, below a prefix, and in the answer to a get.
        (
            notice(
                {
                    "Path": COUNTERS.format("Ethernet1") + "/in-octets",
                    "values": {"interfaces/interface/state/counters/in-octets": 7},
                },
                {
                    "Path": COUNTERS.format("Ethernet1") + "/out-octets",
                    "values": {"interfaces/interface/state/counters/out-octets": 8},
                },
            ),
            ET1,
        ),
        (
            notice(
                {
                    "Path": "state/counters",
                    "values": {"state/counters": {"in-octets": "7", "out-octets": "8"}},
                },
                prefix="openconfig:interfaces/interface[name=Ethernet1]",
            ),
            ET1,
        ),
        (
            [
                notice(
                    {
                        "Path": "interfaces/interface[name=Ethernet1/1]/state",
                        "values": {"interfaces/interface/state": ARISTA},
                    }
                )
            ],
            {("r1", "Ethernet1/1"): {"in": 10041381967, "out": 23569377019, "link": 1}},
        ),
        # SONiC wraps a container into its own name.
        (
            notice(
                {
                    "Path": COUNTERS.format("Ethernet1"),
                    "values": {
                        "x": {"openconfig-interfaces:counters": {"in-octets": "7", "out-octets": "8"}}
                    },
                }
            ),
            ET1,
        ),
        # Cisco IOS XE: the origin and a module before the first element.
        (
            notice(
                {
                    "Path": "rfc7951:openconfig-interfaces:" + COUNTERS.format("Ethernet1"),
                    "values": {"c": {"in-octets": 7, "out-octets": 8}},
                }
            ),
            ET1,
        ),
        # The whole list as JSON below its parent (NX-OS): the keys are leaves of the entries.
        (
            notice(
                {
                    "Path": "openconfig:interfaces",
                    "values": {
                        "interfaces": {
                            "openconfig-interfaces:interface": [
                                {
                                    "name": "eth1/1",
                                    "state": {"counters": {"in-octets": "1"}, "oper-status": "UP"},
                                },
                                {
                                    "openconfig-interfaces:name": "eth1/2",
                                    "state": {"counters": {"in-octets": "2"}},
                                },
                            ]
                        }
                    },
                }
            ),
            {("r1", "eth1/1"): {"in": 1, "link": 1}, ("r1", "eth1/2"): {"in": 2}},
        ),
        # protobuf's JSON of a SubscribeResponse: 64-bit integers are text.
        (
            {
                "source": "r1",
                "update": {
                    "timestamp": str(NS),
                    "prefix": ETHERNET,
                    "update": [
                        update(elems("state", "counters", "in-octets"), uintVal="7"),
                        update(elems("state", "counters", "out-octets"), intVal="8"),
                    ],
                },
            },
            ET1,
        ),
        # The same with JSON in base64, as Telegraf logs it; a bare notification; and a GetResponse.
        (
            {
                "source": "r1",
                "timestamp": str(NS),
                "update": [
                    update(
                        ETHERNET,
                        jsonIetfVal=base64.b64encode(json.dumps({"state": ARISTA}).encode()).decode(),
                    ),
                ],
            },
            {("r1", "Ethernet1"): {"in": 10041381967, "out": 23569377019, "link": 1}},
        ),
        (
            {
                "source": "r1",
                "notification": [
                    {
                        "timestamp": NS,
                        "update": [
                            update(
                                ETHERNET,
                                json_ietf_val='{"state": {"counters": {"in-octets": "7", "out-octets": 8}}}',
                            ),
                        ],
                    }
                ],
            },
            ET1,
        ),
        # pygnmi: paths as text, values as they are; and a value beside the path.
        (
            {
                "update": {
                    "update": [{"path": COUNTERS.format("Ethernet1") + "/in-octets", "val": 7}],
                    "timestamp": NS,
                },
                "source": "r1",
            },
            {("r1", "Ethernet1"): {"in": 7}},
        ),
        (
            {
                "source": "r1",
                "notification": [
                    {
                        "timestamp": NS,
                        "update": [
                            {
                                "path": "interfaces",
                                "json_ietf_val": {
                                    "openconfig-interfaces:interface": [
                                        {"name": "Ethernet1", "state": {"oper-status": "UP"}}
                                    ]
                                },
                            }
                        ],
                    }
                ],
            },
            {("r1", "Ethernet1"): {"link": 1}},
        ),
    ],
)
def test_a_notification_gives_the_leaves_that_are_signals(document, samples):
    assert found(document) == samples


def test_a_prefix_has_keys_and_names_the_target():
    prefix = elems("network-instances", "network-instance", name="default") | {"target": "r1"}
    bgp = {"elem": [{"name": "neighbor", "key": {"neighbor-address": "2001:db8::1"}}, {"name": "state"}]}
    leaves = {"prefixes": {"received": 4460}, "enabled": True}
    document = {"update": {"timestamp": str(NS), "prefix": prefix, "update": [update(bgp, jsonVal=leaves)]}}
    assert found(document, NEIGHBOURS) == {("r1", "default", "2001:db8::1"): {"received": 4460, "up": 1}}


def test_a_topic_names_the_device_where_the_payload_does_not():
    routers = replace(INTERFACES, topic="gnmi/{source}/#")
    document = notice({"Path": "interfaces/interface[name=e1]/state/oper-status", "values": {"s": "UP"}})
    del document["source"]
    assert decode(document, routers, "gnmi/r7/x")[1].entities == [("r7", "e1")]
    assert decode(document) == (Drop.ENTITY_MISSING, Batch())


def test_a_subinterface_is_no_interface_where_the_field_says_so():
    state = {"state": {"counters": {"in-octets": 1, "out-octets": 2}}}
    sub = {"subinterface": [{"index": 0, "state": {"counters": {"in-octets": 3, "out-octets": 4}}}]}
    document = notice(
        {"Path": "interfaces/interface[name=e1]", "values": {"i": state | {"subinterfaces": sub}}}
    )
    assert found(document) == {("r1", "e1"): {"in": 1, "out": 2}}  # `out` would fit both: the first counts
    units = replace(INTERFACES, entity=("interface_name", "subinterface_index"))
    assert found(document, replace(units, signals=(Signal("subinterface/state/counters/in-octets"),))) == {
        ("e1", "0"): {"subinterface/state/counters/in-octets": 3}
    }


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ({"uintVal": "18446744073709551615"}, 2.0**64),
        ({"uint_val": 5}, 5),
        ({"intVal": "-3"}, -3),
        ({"boolVal": True}, 1),
        ({"floatVal": 1.5}, 1.5),
        ({"doubleVal": 2.5}, 2.5),
        ({"stringVal": "UP"}, 1),
        ({"asciiVal": "12"}, 12),
        ({"decimalVal": {"digits": "314", "precision": 2}}, 3.14),
        ({"decimal_val": {"digits": 5}}, 5),
        ({"jsonVal": "MTIz"}, 123),
        ({"json_val": "123"}, 123),
        ({"jsonIetfVal": '"7"'}, 7),
        ({"json_ietf_val": 7}, 7),
        ({"jsonIetfVal": "IlVQIg=="}, 1),
        ({"bytesVal": "QUZmZg=="}, pytest.approx(12.4)),
        ("QUZmZg==", pytest.approx(12.4)),
        (False, 0),
        ("1.25e3", 1250),
    ],
)
def test_a_leaf_is_a_number_in_every_type_that_gnmi_has(value, number):
    path = {"path": "interfaces/interface[name=e1]/state/oper-status", "val": value}
    assert found({"source": "r1", "timestamp": NS, "update": [path]}) == {("r1", "e1"): {"link": number}}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("TESTING", Drop.NOT_A_NUMBER),
        ({"bytesVal": "MTIz"}, Drop.NOT_A_NUMBER),
        ({"protoBytes": "MTIz"}, Drop.NOT_A_NUMBER),
        ({"anyVal": {"value": 1}}, Drop.NOT_A_NUMBER),
        ({"leaflistVal": {"element": [{"intVal": 1}]}}, Drop.NOT_A_NUMBER),
        ({"decimalVal": 5}, Drop.NOT_A_NUMBER),
        ({"decimalVal": {"digits": [], "precision": 2}}, Drop.NOT_A_NUMBER),
        ({"decimalVal": {"digits": "1e5", "precision": 2}}, Drop.NOT_A_NUMBER),
        ([1, 2], Drop.NOT_A_NUMBER),
        ([], Drop.NOT_A_NUMBER),
        ("QUZmZ===", Drop.NOT_A_NUMBER),
        ({"floatVal": "NaN"}, Drop.NOT_FINITE),
        ({"bytesVal": "f8AAAA=="}, Drop.NOT_FINITE),
        ({"jsonVal": "x"}, Drop.NOT_A_NUMBER),
    ],
)
def test_a_leaf_that_is_no_number_is_counted(value, reason):
    path = {"path": "interfaces/interface[name=e1]/state/oper-status", "val": value}
    drop, batch = decode({"source": "r1", "timestamp": NS, "update": [path]})
    assert (drop, batch) == (Drop.NO_SIGNAL, Batch(dropped=Counter({reason: 1})))


def test_events_of_one_entity_and_time_are_one_record():
    values = [{"oper-status": "UP"}, {"state/counters/out-octets": 2}, {"mtu": 1}, {"oper-status": "DOWN"}]
    events = [event(one, interface_name="e1") for one in values]
    later = event({"state/counters/out-octets": 3}, interface_name="e1") | {"timestamp": NS + 1_000_000_000}
    drop, batch = decode([*events, later, event({"oper-status": "UP"}, interface_name="e2")])
    assert drop is None
    assert batch.record == [0, 0, 1, 2, 3]
    assert batch.value == [2, 1, 0, 3, 1]
    assert not batch.dropped


# Deletes


@pytest.mark.parametrize(
    ("document", "silenced"),
    [
        (notice(deletes=["interfaces/interface[name=e1]"]), [("r1", "e1")]),
        (
            notice(prefix="interfaces", deletes=["interface[name=e1]", "/interface[name=e2]/"]),
            [("r1", "e1"), ("r1", "e2")],
        ),
        (notice(prefix="interfaces/interface[name=e1]", deletes=[""]), [("r1", "e1")]),
        (
            {
                "name": "s",
                "timestamp": NS,
                "tags": {"source": "r1"},
                "deletes": ["/interfaces/interface[name=e1]"],
            },
            [("r1", "e1")],
        ),
        (
            {"source": "r1", "update": {"timestamp": NS, "delete": [elems("interface", name="e1")]}},
            [("r1", "e1")],
        ),
        # Leaves, what is below an interface, what is above it, and whose we do not know.
        (notice(deletes=["interfaces/interface[name=e1]/state/counters/in-octets"]), []),
        (notice(deletes=["interfaces/interface[name=e1]/subinterfaces/subinterface[index=1]"]), []),
        (notice(deletes=["interfaces", "/", "components/component[name=psu]", "a[", 5]), []),
        (notice(source="", deletes=["interfaces/interface[name=e1]"]), []),
    ],
)
def test_a_deleted_entry_of_a_list_is_the_goodbye_of_its_entity(document, silenced):
    drop, batch = decode(document)
    assert [(before, tuple(labels.values())) for before, labels in batch.silenced] == [
        (0, one) for one in silenced
    ]
    assert drop is (None if silenced else Drop.NO_SIGNAL)
    assert not batch.entities


def test_a_delete_names_nobody_where_the_topic_does():
    own = replace(INTERFACES, topic="gnmi/{source}/{interface_name}")
    drop, batch = decode(notice(deletes=["interfaces/interface[name=e2]"]), own, "gnmi/r1/e1")
    assert (drop, batch) == (Drop.NO_SIGNAL, Batch())


def test_deletes_come_before_the_updates_beside_them():
    up = {"Path": "interfaces/interface[name=e1]/state/oper-status", "values": {"s": "UP"}}
    drop, batch = decode(notice(up, deletes=["interfaces/interface[name=e1]"]))
    assert drop is None
    assert batch.silenced == [(0, {"source": "r1", "interface_name": "e1"})]
    assert batch.entities == [("r1", "e1")]


def test_an_event_of_values_and_deletes_is_both():
    merged = event({"/a/oper-status": "UP"}, interface_name="e1") | {
        "deletes": ["/interfaces/interface[name=e2]"]
    }
    for document in (merged, [merged]):
        drop, batch = decode(document)
        assert (drop, batch.entities, batch.value) == (None, [("r1", "e1")], [1.0])
        assert batch.silenced == [(0, {"source": "r1", "interface_name": "e2"})]


@pytest.mark.parametrize(("deletes", "refused"), [([], 0), (None, 0), (["/x"], 0), ("/x", 1), ([5], 0)])
def test_deletes_that_say_nothing_cost_no_value_beside_them(deletes, refused):
    drop, batch = decode([event({"/a/oper-status": "UP"}, interface_name="e1") | {"deletes": deletes}])
    assert (drop, batch.value, batch.silenced) == (None, [1.0], [])
    assert batch.dropped == Counter({Drop.WRONG_SHAPE: refused} if refused else {})


def test_updates_that_are_refused_beside_a_goodbye_are_counted():
    drop, batch = decode(notice({"Path": "a["}, deletes=["interfaces/interface[name=e1]"]))
    assert (drop, batch.dropped, len(batch.silenced)) == (None, Counter({Drop.WRONG_SHAPE: 1}), 1)


# What is none


@pytest.mark.parametrize(
    ("document", "drop"),
    [
        (b"", Drop.PAYLOAD_EMPTY),
        (b"{", Drop.NOT_JSON),
        (b"\xff", Drop.NOT_UTF8),
        (b"5", Drop.WRONG_SHAPE),
        ([], Drop.NO_SIGNAL),
        ({"sync-response": True}, Drop.NO_SIGNAL),
        ({"syncResponse": True}, Drop.NO_SIGNAL),
        ({"sync_response": True}, Drop.NO_SIGNAL),
        ({"name": "interface", "tags": {}, "fields": {"in_octets": 1}, "timestamp": 1}, Drop.WRONG_SHAPE),
        ({"update": {"timestamp": NS}}, Drop.NO_SIGNAL),
        ({"update": []}, Drop.NO_SIGNAL),
        ({"update": 5}, Drop.WRONG_SHAPE),
        ({"notification": [5]}, Drop.WRONG_SHAPE),
        ({"notification": []}, Drop.NO_SIGNAL),
        ({"updates": {"a": 1}}, Drop.WRONG_SHAPE),
        (notice(5), Drop.WRONG_SHAPE),
        (notice({"Path": 5, "values": {}}), Drop.WRONG_SHAPE),
        (notice(prefix=5), Drop.WRONG_SHAPE),
        (notice(prefix="a["), Drop.WRONG_SHAPE),
        (notice(*[{}] * (RECORDS_MAX + 1)), Drop.RECORDS_MAX),
        (notice({"Path": "interfaces/interface[name=e1]/state/mtu", "values": {"m": 1}}), Drop.NO_SIGNAL),
        (notice({"Path": "interfaces/interface[name=e1]/state/oper-status"}), Drop.NO_SIGNAL),
        (
            notice({"Path": "interfaces/interface[name=e1]/state/oper-status", "values": {"s": None}}),
            Drop.NO_SIGNAL,
        ),
        (
            notice({"Path": "interfaces/interface/state/oper-status", "values": {"s": "UP"}}),
            Drop.ENTITY_MISSING,
        ),
        (notice({"path": {"elem": 5}}), Drop.WRONG_SHAPE),
        (notice({"path": {"elem": [{"name": ""}]}}), Drop.WRONG_SHAPE),
        (notice({"path": {"elem": [5]}}), Drop.WRONG_SHAPE),
        (notice({"path": {"elem": [{"name": "a", "key": 5}]}}), Drop.WRONG_SHAPE),
        (notice({"path": elems(*"a" * (ELEMENTS_MAX + 1))}), Drop.WRONG_SHAPE),
        (event({}), Drop.NO_SIGNAL),
        (event([]), Drop.WRONG_SHAPE),
        (event({}) | {"tags": 5}, Drop.WRONG_SHAPE),
        (event({}) | {"deletes": 5}, Drop.WRONG_SHAPE),
        (event({"oper-status": "UP"}), Drop.ENTITY_MISSING),
        (event({"oper-status": "UP"}, interface_name="e1") | {"timestamp": "soon"}, Drop.TIME_UNREADABLE),
        (event({"oper-status": "UP"}, interface_name=["e1"]), Drop.WRONG_SHAPE),
        (b'{"a":' * 100 + b"1" + b"}" * 100, Drop.NESTED_TOO_DEEP),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_holds_no_signal_of_the_stream_is_dropped_with_its_reason(document, drop):
    assert decode(document)[0] is drop
    assert not decode(document)[1].entities


def test_a_part_that_is_refused_costs_no_other():
    good = event({"oper-status": "UP"}, interface_name="e1")
    drop, batch = decode([good, 5, event({"oper-status": 1}), event({"mtu": 1}), {"sync-response": True}])
    assert (drop, batch.entities) == (None, [("r1", "e1")])
    assert batch.dropped == Counter({Drop.WRONG_SHAPE: 1, Drop.ENTITY_MISSING: 1, Drop.NO_SIGNAL: 1})


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("", "signal field 'in-octets"),
        ("/", "signal field '/' is no path"),
        ("a[", "is no path"),
        ("queue[name=1]/octets", "the keys of a path are labels"),
    ],
)
def test_a_field_is_a_path_without_keys(field, message):
    if not field:
        assert decoder(replace(INTERFACES, signals=(Signal("in-octets"),)))
        return
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        decoder(replace(INTERFACES, signals=(Signal("x", field=field),)))


# Paths

ANY = Tree(["leaf", "x/y/z"], ["a_k", "a_l", "b_k"])


@pytest.mark.parametrize(
    ("written", "names", "labels"),
    [
        ("", (), {}),
        ("/", (), {}),
        ("a", ("a",), {}),
        ("/a/b/", ("a", "b"), {}),
        ("o:/a/b", ("a", "b"), {}),
        ("o:a/m:b", ("a", "b"), {}),
        ("a[k=1]", ("a",), {"a_k": "1"}),
        ("a[k=1][l=2]/b", ("a", "b"), {"a_k": "1", "a_l": "2"}),
        ("a[m:k=1]", ("a",), {"a_k": "1"}),
        ("a[k=et-0/0/1.0]/b", ("a", "b"), {"a_k": "et-0/0/1.0"}),
        ("a[k=x=y:z]", ("a",), {"a_k": "x=y:z"}),
        ("a[k=]", ("a",), {"a_k": ""}),
        (r"a[k=x\]y\\z]/b", ("a", "b"), {"a_k": r"x]y\z"}),
        ("a[k=[x]", ("a",), {"a_k": "[x"}),
        ("a[other=1]", ("a",), {}),
        ("a[k=1]/b[k=2]", ("a", "b"), {"a_k": "1", "b_k": "2"}),
        (None, (), {}),
        ({}, (), {}),
        ({"elem": []}, (), {}),
        ({"elem": [{"name": "m:a", "key": {"k": "1", "l": 5}}]}, ("a",), {"a_k": "1"}),
    ],
)
def test_a_path_is_names_and_keys(written, names, labels):
    for _ in range(2):  # read, and remembered
        path = ANY.path(written)
        assert (path.names, dict(path.labels)) == (names, labels)


@pytest.mark.parametrize(
    "written",
    [
        "a[",
        "a]",
        "a[k]",
        "a[=1]",
        "a[k=1",
        "a[k=1]b",
        "[k=1]",
        "a[k=1]]",
        "a[k=1\\]",
        "x" * (PATH_CHARS_MAX + 1),
        5,
        [],
        {"elem": {}},
    ],
)
def test_what_is_no_path_is_none(written):
    assert ANY.path(written) is None
    assert ANY.path(written) is None


def test_the_keys_of_the_last_element_are_known():
    assert ANY.path("a[k=1]/b[k=2]").last == (("b_k", "2"),)
    assert ANY.path("a[k=1]/b").last == ()


def test_a_path_is_below_its_prefix():
    for prefix in ("a[k=1]", as_text(elems("a", k="1"))):
        for written in ("b[k=2]/leaf", {"elem": [{"name": "b", "key": {"k": "2"}}, {"name": "leaf"}]}):
            path = ANY.path(written, prefix)
            assert path == Path(("a", "b", "leaf"), (("a_k", "1"), ("b_k", "2")), (), "leaf")
    assert ANY.path("b", "a[") is None
    assert ANY.path(None, "a[k=1]").last == (("a_k", "1"),)


def test_a_path_of_elements_reads_the_same_as_text():
    keys = {"k": r"x]y\z/[", "l": ""}
    for path in (elems("b", "a", **keys), elems("a"), {}, None):
        assert ANY.path(as_text(path)) == ANY.path(path)
    assert as_text("x" * (PATH_CHARS_MAX + 1)) is None
    assert as_text(elems(*"a" * (ELEMENTS_MAX + 1))) is None
    assert ANY.path("a/" * (ELEMENTS_MAX + 2)) is None
