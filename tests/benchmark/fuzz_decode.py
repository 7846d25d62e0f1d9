"""Mutational fuzzing of the decoders: real payloads, damaged at random, held against the contract.

    python tests/benchmark/fuzz_decode.py --seconds 60 [--seed 1]

It prints executions and outcomes for every stream, and ends with a traceback and the payload at the
first one that breaks the contract.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import time
from collections import Counter

from detector.stream.decode import Decoder, decoder
from detector.stream.decode.times import TIME_MAX_S
from detector.stream.definition import Definition, Layout, Signal, Witness
from detector.stream.nouns import Batch, Drop, Message

ARRIVAL_S = 1_760_000_003.5
MESSAGE_DROPS = frozenset(
    {
        Drop.PAYLOAD_EMPTY,
        Drop.FORMAT_UNKNOWN,
        Drop.NOT_UTF8,
        Drop.NOT_JSON,
        Drop.NESTED_TOO_DEEP,
        Drop.WRONG_SHAPE,
        Drop.ENTITY_MISSING,
        Drop.LABEL_REFUSED,
        Drop.NO_SIGNAL,
        Drop.TIME_UNREADABLE,
        Drop.MALFORMED,
        Drop.ALIAS_UNKNOWN,
    }
)
COUNTED = frozenset(
    {
        Drop.NOT_A_NUMBER,
        Drop.NOT_FINITE,
        Drop.WRONG_SHAPE,
        Drop.ENTITY_MISSING,
        Drop.LABEL_REFUSED,
        Drop.NO_SIGNAL,
        Drop.TIME_UNREADABLE,
        Drop.MALFORMED,
        Drop.ALIAS_UNKNOWN,
        Drop.DUPLICATE,
        Drop.HISTORICAL,
    }
)

FLAT = Definition("flat", ("device",), (Signal("temp"), Signal("hum")), 10.0, 60, "t/#", "json")
NESTED = Definition(
    "nested",
    ("device", "port"),
    (
        Signal("rx", field="counters.rx.bytes", rate_max_field="link.speed"),
        Signal("tx", field="counters.tx.bytes"),
        Signal("lanes.1"),
    ),
    10.0,
    60,
    "t/#",
    "json",
    Layout("data.ports", "ts", "auto", (("device", "sys.name"), ("port", "id"))),
    (Witness("up", "uptime"), Witness("boot.id", "boot_id"), Witness("boot.time", "boot_time")),
)
TELEGRAF = Definition(
    "telegraf",
    ("host", "cpu"),
    (Signal("usage_idle"), Signal("usage_user")),
    10.0,
    60,
    "telegraf/#",
    "telegraf-json",
)
VALUE = Definition("value", ("device",), (Signal("watts"),), 10.0, 60, "shellies/{device}", "value")
LABELLED = Definition(
    "labelled",
    ("site", "device", "kind"),
    (Signal("link", words=(("up", 1.0), ("down", 0.0))), Signal("temp")),
    10.0,
    60,
    "t/{_}",
    "json",
    Layout(
        patterns=(("host", "(?P<site>[a-z]+)-(?P<device>.+)"), ("topic", "t/(?P<kind>[a-z]+).*")),
        allow=(("site", ("fra", "m*")), ("device", ("r1", "*-2"))),
    ),
)
COLLECTD = Definition(
    "collectd",
    ("device", "plugin_instance"),
    (Signal("rx", field="if_octets.rx"), Signal("tx", field="if_octets.1")),
    10.0,
    60,
    "collectd/{device}/+/+",
    "collectd",
)
HOMIE = Definition(
    "homie",
    ("device", "node"),
    (Signal("temperature"), Signal("mode", words=(("heat", 1.0),))),
    10.0,
    60,
    "homie/#",
    "homie",
)
INFLUX = Definition(
    "influx",
    ("host", "cpu"),
    (Signal("usage_idle"), Signal("usage_user"), Signal("odd name", words=(("so so", 0.5),))),
    10.0,
    60,
    "telegraf/#",
    "influx",
    Layout(metric="cpu"),
)
CSV = Definition(
    "csv",
    ("device", "port"),
    (Signal("rx"), Signal("status", words=(("up", 1.0), ("a, b", 2.0)))),
    10.0,
    60,
    "t/#",
    "csv",
    Layout(time="at"),
)
PROMETHEUS = Definition(
    "prometheus",
    ("device", "ifName"),
    (Signal("in", field="ifHCInOctets"), Signal("up", field='ifOperStatus{ifAlias="to \\"core\\""}')),
    10.0,
    60,
    "metrics/{device}",
    "prometheus",
)
KEYED = Definition(
    "keyed",
    ("device", "slot", "port"),
    (Signal("rx", field="lanes[id=1].rx"), Signal("temp", field="sensors[name=cpu][state.ok=true].value")),
    10.0,
    60,
    "t/+",
    "json",
    Layout(records="slots.{slot}.ports.{port}", labels=(("device", "tags[key=host].value"),)),
)
SENML = Definition(
    "senml",
    ("name",),
    (Signal("temp"), Signal("Cel"), Signal("open", words=(("ajar", 0.5),)), Signal("energy.sum")),
    10.0,
    60,
    "senml/#",
    "senml",
)

SPARKPLUG = Definition(
    "sparkplug",
    ("node", "device"),
    (
        Signal("temp"),
        Signal("level"),
        Signal("state", words=(("up", 1.0),)),
        Signal("octets", field="Ports/{port}/Octets"),
    ),
    10.0,
    60,
    "spBv1.0/#",
    "sparkplug",
)

OPENCONFIG = Definition(
    "openconfig",
    ("source", "interface_name"),
    (
        Signal("in", field="state/counters/in-octets"),
        Signal("link", field="oper-status", words=(("UP", 1.0),)),
    ),
    10.0,
    60,
    "gnmi/#",
    "openconfig",
)

_CPU = (
    b'{"fields":{"usage_idle":91.25,"usage_user":6.25},"name":"cpu",'
    b'"tags":{"cpu":"cpu-total","host":"srv-7"},"timestamp":1760000000250}'
)
# As pysparkplug encodes them: names, types, aliases; and then values, one of them historical.
DBIRTH = bytes.fromhex(
    "08fa81b3c19c3312160a0474656d70100118fa81b3c19c332009650000ac4112160a056c6576656c100218fa81b3c19c33200250fd"
    "ff03121d0a0e506f7274732f312f4f6374657473100318fa81b3c19c332008580a12160a057374617465100418fa81b3c19c33200c"
    "7a02757012120a05626453657118fa81b3c19c33200458011801"
)
DDATA = bytes.fromhex(
    "08fa81b3c19c3312160a0474656d70100118fa81b3c19c332009650000b44112160a056c6576656c18fa81b3c19c332002280150fc"
    "ff0312240a0e506f7274732f322f4f637465747318fa81b3c19c33200858808080808080808080011802"
)
AUTO = Definition("auto", ("device",), (Signal("temp"),), 10.0, 60, "t/{device}", "auto")
CASES = (
    (
        AUTO,
        "t/r1",
        (b'{"temp":21.5}', b'{"fields":{"temp":1}}', b"room,host=a temp=21.5 1760000000000000000", b"3"),
    ),
    (
        FLAT,
        "t/any",
        (
            b'{"device":"s1","temp":21.5,"hum":40,"timestamp":1760000000}',
            b'[{"device":"a","temp":1},{"device":"b","hum":true,"time":"2025-10-09T08:53:20.25Z"}]',
        ),
    ),
    (
        NESTED,
        "t/any",
        (
            (
                b'{"sys.name":"sw1","ts":1760000000000000,"data":{"ports":['
                b'{"id":1,"counters":{"rx":{"bytes":10},"tx.bytes":20},"lanes":[3.5,4.5],"link":{"speed":1000},'
                b'"up":77,"boot":{"id":"8f1c","time":"2025-10-09T08:53:20Z"}},'
                b'{"id":2,"counters":{"rx":{"bytes":30},"tx.bytes":null},"lanes":[]}]}}'
            ),
        ),
    ),
    (
        LABELLED,
        "t/edge-1",
        (
            b'{"host":"fra-r1","link":"up","temp":"21.5"}',
            b'[{"host":"muc-a-2","link":" down","timestamp":1760000000},{"host":"fra-r1","temp":4}]',
        ),
    ),
    (HOMIE, "homie/5/room-1/climate/temperature", (b"21.5", b"true", b"PT12H5M46S")),
    (HOMIE, "homie/room-1/climate/mode", (b"heat", b"-3\0")),
    (SPARKPLUG, "spBv1.0/g1/DBIRTH/n1/d1", (DBIRTH,)),
    (SPARKPLUG, "spBv1.0/g1/DDATA/n1/d1", (DBIRTH, DDATA)),
    (
        KEYED,
        "t/r1",
        (
            (
                b'{"slots":{"1":{"ports":{"e0":{"lanes":[{"id":1,"rx":5},{"id":2,"rx":6}],'
                b'"sensors":[{"name":"cpu","state":{"ok":true},"value":41}]}}},'
                b'"2":{"ports":{"e0":[{"lanes":[{"id":"1","rx":7}]}]}}},"tags":[{"key":"host","value":"r1"}]}'
            ),
        ),
    ),
    (TELEGRAF, "telegraf/any", (_CPU, b'{"metrics":[' + _CPU + b"," + _CPU + b"]}")),
    (
        INFLUX,
        "telegraf/any",
        (
            b"cpu,cpu=cpu-total,host=srv-7 usage_idle=91.25,usage_user=6i 1760000000250000000\n",
            (
                b"# all\r\nmem,host=a used=1u\n\n"
                b'cpu,host=a\\ b,cpu=c usage_idle=T,odd\\ name="so so",s="\\"\n,="\n'
            ),
        ),
    ),
    (
        CSV,
        "t/any",
        (
            b'device,port,rx,at,status\r\nr1,"Gi0/0/1, ""x""",21.5,1760000000250,up\r\nr1,b,,,"a, b"\r\n',
            b"at,device,port,rx\n2018-09-13T13:03:28Z,r1,a,1\n\n,r1,b,-2e3\n1760000000,r1,c,true",
        ),
    ),
    (
        PROMETHEUS,
        "metrics/r1",
        (
            (
                b"# TYPE ifHCInOctets counter\n"
                b'ifHCInOctets{ifAlias="to \\"core\\"",ifName="ge1"} 1.310822e+07 1760000000250\n'
                b'ifOperStatus{ifAlias="to \\"core\\"",ifName="ge1"} 1 1760000000250 # {id="x"} 0.5 1\n'
                b"# EOF\n"
            ),
            b'ifHCInOctets{ifName="ge1"} 1\r\nifOperStatus{ifName="ge1"} NaN\n{"ifHCInOctets",ifName="e2"} 3',
        ),
    ),
    (VALUE, "shellies/plug-1", (b"12.5", b" -42\n", b"1e3", b"true")),
    (
        COLLECTD,
        "collectd/r1/interface-eth0/if_octets",
        (b"1760000000.250:215961585:395391\0", b"N:143571.014941019:nan\0", b"1760000000:U:0"),
    ),
    (
        OPENCONFIG,
        "gnmi/any",
        (
            (
                b'[{"name":"s","timestamp":1760000000250000000,"tags":{"source":"r1","interface_name":"e1"},'
                b'"values":{"/m:interfaces/interface/state/counters/in-octets":"7","/a/oper-status":"UP"}}]'
            ),
            (
                b'{"source":"r1","timestamp":1760000000250000000,"prefix":"o:interfaces/interface[name=e1]",'
                b'"updates":[{"Path":"state/counters","values":{"c":{"m:counters":{"in-octets":"7"}}}}],'
                b'"deletes":["/interfaces/interface[name=e2]"]}'
            ),
            (
                b'{"source":"r1","update":{"timestamp":"1760000000250000000","prefix":{"target":"r1","elem":['
                b'{"name":"interface","key":{"name":"e1"}}]},"update":[{"path":{"elem":[{"name":"state"}]},"val":'
                b'{"jsonIetfVal":"eyJjb3VudGVycyI6eyJpbi1vY3RldHMiOiI3In19"}},{"path":{"elem":[{"name":"oper-status"}'
                b']},"val":{"decimalVal":{"digits":"15","precision":1}}}],"delete":[{"elem":[]}]}}'
            ),
            (
                b'{"source":"r1","notification":[{"timestamp":1760000000,"update":[{"path":"interfaces","val":'
                b'{"m:interface":[{"name":"e1","state":{"oper-status":"QUZmZg=="}}]}}]}]}'
            ),
        ),
    ),
    (
        SENML,
        "senml/any",
        (
            b'[{"bn":"urn:dev:ow:1:","bt":1.76e9,"bver":10,"bv":20,"n":"temp","v":3.1},{"n":"open","vb":true}]',
            b'[{"n":"urn:dev:ow:1","u":"Cel","v":23.1},{"bn":"d/","n":"energy","s":7,"t":-5,"vd":"MTIz"}]',
            bytes.fromhex(
                "83a62162643a22fb41da39de000000002414200a006474656d7002c482211910e1a200646f70656e04f5a500"
                "66656e657267790507062408433132330364616a6172"
            ),
            bytes.fromhex("d9d9f79fa42162643a006474656d7002fb3ff8000000000000061903e8a2016343656c0214ff"),
        ),
    ),
)
"""A stream, one of its topics, and payloads of it."""

_VALUES = (
    b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-0", b"0", b"9" * 400, b"18446744073709551616", b"-1",
    b'""', b'"\\ud800"', b'"\\u0000"', b'"x"', b"{}", b"[]", b"[" * 1100 + b"]" * 1100, b'"metrics"',
    b'"1e400"', b'"timestamp"', b'"2025-10-09"', b'"%s"' % (b"a" * 300), b"1760000000000000000", b'"temp"',
    b'"\xc2\x85"',
)  # fmt: skip
_SCRAPS = (
    b"[" * 1100, b"{", b"}", b"]", b",", b":", b'"', b"\\", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf",
    b"\xc2\xa0", b" ", b"\n", b"-", b".", b"e", b"_", b"", b"=", b'="', b'\\"', b"\\ ", b":U", b":nan",
)  # fmt: skip
_WORDS = re.compile(rb'"[^"]*"|[-+.\w]+')


def mutate(payload: bytes, rng: random.Random) -> bytes:
    """Return the payload with one to three random injuries; three of four leave it JSON, but not its own."""
    for _ in range(rng.randint(1, 3)):
        payload = _swap(payload, rng) if rng.random() < 0.75 else _tear(payload, rng)
    return payload


def _swap(payload: bytes, rng: random.Random) -> bytes:
    """Put another value, or another word of the payload, in the place of a word."""
    words = list(_WORDS.finditer(payload))
    if not words:
        return payload + rng.choice(_VALUES)
    start, end = rng.choice(words).span()
    new = rng.choice(_VALUES) if rng.random() < 0.7 else rng.choice(words)[0]
    return payload[:start] + new + payload[end:]


def _tear(payload: bytes, rng: random.Random) -> bytes:
    """Cut, repeat or overwrite some bytes anywhere."""
    start = rng.randint(0, len(payload))
    end = start + int(rng.expovariate(0.3))
    scraps = (rng.choice(_SCRAPS), bytes([rng.randrange(256)]), payload[start:end] * rng.randint(0, 3))
    return payload[:start] + rng.choice(scraps) + payload[end:]


def check(reader: Decoder, topic: str, payload: bytes) -> Drop | None:
    """Decode into a batch that has a record already, assert the contract, return the outcome."""
    batch = Batch([("before",)], [1.0], [0], [0], [5.0])
    labels = reader.template.match(topic)
    assert labels is not None
    drop = reader.decode(Message(topic, payload, ARRIVAL_S), labels, batch)
    assert batch.entities[0] == ("before",)
    assert batch.value[0] == 5.0
    records = len(batch.entities)
    assert len(batch.times_s) == records
    assert len(batch.record) == len(batch.signal) == len(batch.value)
    assert set(batch.record) == set(range(records))  # no record without a sample
    assert batch.record == sorted(batch.record)
    assert batch.dropped.keys() <= COUNTED
    if drop is None:
        assert records > 1 or batch.silenced
        _check_written(batch)
    else:
        assert drop in MESSAGE_DROPS
        assert records == len(batch.record) == 1
    return drop


def _check_written(batch: Batch) -> None:
    assert all(isinstance(value, (int, float)) and math.isfinite(value) for value in batch.value)
    assert all(type(time_s) is float and 0 < time_s < TIME_MAX_S for time_s in batch.times_s)
    for entity in batch.entities:
        assert all(label and label.encode() for label in entity)
    cells = list(zip(batch.record, batch.signal, strict=True))
    assert len(set(cells)) == len(cells)


def fuzz(seconds: float, seed: int) -> dict[str, Counter[str]]:
    """Return the outcomes of every stream."""
    rng = random.Random(seed)
    cases = [(definition.name, decoder(definition), topic, seeds) for definition, topic, seeds in CASES]
    outcomes: dict[str, Counter[str]] = {name: Counter() for name, *_ in cases}
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        for name, reader, topic, seeds in cases:
            payload = mutate(rng.choice(seeds), rng)
            try:
                drop = check(reader, topic, payload)
            except BaseException:
                print(f"stream {name}, payload {payload!r}")
                raise
            outcomes[name]["samples" if drop is None else drop.value] += 1
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz the decoders.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    outcomes = fuzz(arguments.seconds, arguments.seed)
    for name, counts in outcomes.items():
        print(f"{name:>9} {counts.total():>9,}  " + "  ".join(f"{k} {n:,}" for k, n in counts.most_common()))
    print(f"{sum(counts.total() for counts in outcomes.values()):,} executions, no breach of the contract")


if __name__ == "__main__":
    main()
