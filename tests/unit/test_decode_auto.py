"""Format `auto`: what a message looks like, and that it is read as that."""

import time

import pytest

from detector.stream.decode import decoder
from detector.stream.decode.auto import format_of
from detector.stream.definition import Definition, Signal
from detector.stream.nouns import Batch, Drop, Message

LOOKS = [
    ("collectd/r1/load/load", b"1760000000.123:0.1:0.2:0.3\0", "collectd"),
    ("collectd/r1/interface-eth0/if_octets", b"1760000000:nan:U\0", "collectd"),
    ("t", b"interface,host=a,ifName=Gi0/0/1 in=1i,out=2i 1760000000000000000", "influx"),
    ("t", b"weather temperature=82", "influx"),
    ("t", b"# a comment\nweather,a\\ b=c\\,d temperature=82\nweather x=1", "influx"),
    ("t", b"# HELP up Is it up?\n# TYPE up gauge\nup 1\n", "prometheus"),
    ("t", b'http_requests_total{method="post",code="200"} 1027 1395066363000', "prometheus"),
    ("t", b"up 1", "prometheus"),
    ("t", b"device,in_octets\nr1,2\n", "csv"),
    ("t", b'1,"a, b";2', "csv"),
    ("t", b" 12.5\0", "value"),
    ("t", b"true", "value"),
    ("t", b"\xc3\xa9tat", "value"),
    ("homie/r1/port/speed", b"21", "homie"),
    ("t", b'[{"n":"x","v":1}]', "senml"),
    ("t", b"\x81\xa2\x00\x61\x61\x02\x01", "senml"),
    ("t", b"\xd9\xd9\xf7\x81\xa2\x00\x61\x61\x02\x01", "senml"),
    ("t", b'{"fields":{"a":1},"name":"x"}', "telegraf-json"),
    ("t", b'{"metrics":[{"fields":{"a":1}}]}', "telegraf-json"),
    ("t", b'{"name":"x","timestamp":1,"tags":{},"values":{"/a/b":1}}', "openconfig"),
    ("t", b'[{"name":"x","timestamp":1,"tags":{},"deletes":["/a[b=c]"]}]', "openconfig"),
    ("t", b'{"update":{"timestamp":"1","update":[]}}', "openconfig"),
    ("t", b'{"syncResponse":true}', "openconfig"),
    ("t", b'{"a":1}', "json"),
    ("t", b"[1,2]", "json"),
    ("t", b'{"a":', "json"),
    ("spBv1.0/g/NDATA/e", b"\x08\x01", "sparkplug"),
    ("t", b"hello there, world", "csv"),
    ("t", b"hello world again", ""),
    ("t", b"\xff\xfe", ""),
    ("t", b"\0 \n", ""),
    ("t", b"", ""),
]


@pytest.mark.parametrize(("topic", "payload", "name"), LOOKS)
def test_a_message_looks_like_a_format(topic, payload, name):
    assert format_of(topic, payload) == name


DEFINITION = Definition("any", ("device",), (Signal("a"),), 10.0, 60, "t/{device}/a", "auto")


@pytest.mark.parametrize(
    "payload",
    [b'{"a": 1}', b'{"fields": {"a": 1}}', b"x a=1", b"1.0"],
    ids=["json", "telegraf-json", "influx", "value"],
)
def test_it_is_read_as_what_it_looks_like(payload):
    batch = Batch()
    assert decoder(DEFINITION).decode(Message("t/r1/a", payload, 5.0), {"device": "r1"}, batch) is None
    assert (batch.entities, batch.signal, batch.value) == ([("r1",)], [0], [1])


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"hello world again", Drop.FORMAT_UNKNOWN),
        (b" \0", Drop.PAYLOAD_EMPTY),
        (b'{"a":', Drop.NOT_JSON),
        (b'{"b": 1}', Drop.NO_SIGNAL),
    ],
)
def test_what_looks_like_nothing_is_refused_and_the_rest_for_its_own_reason(payload, reason):
    message = Message("t/r1/a", payload, 5.0)
    assert decoder(DEFINITION).decode(message, {"device": "r1"}, Batch()) is reason


def test_a_format_that_does_not_fit_the_stream_is_not_tried():
    two = Definition("any", ("device",), (Signal("a"), Signal("b")), 10.0, 60, "t/{device}", "auto")
    assert decoder(two).decode(Message("t/r1", b"1.0", 5.0), {"device": "r1"}, Batch()) is Drop.FORMAT_UNKNOWN


@pytest.mark.parametrize("part", [b"a=b,", b"\\,", b"\\", b'"', b"a ", b"{", b"1:", b"a,", b"#x\n", b"="])
def test_looking_takes_no_longer_for_what_is_made_to_make_it(part):
    begun_s = time.process_time()
    for lead in (b"", b"a,", b"a{", b"1:"):
        format_of("t", lead + part * 100_000)
    assert time.process_time() - begun_s < 2.0
