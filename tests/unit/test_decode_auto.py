"""Format `auto`: what a message looks like, and that it is read as that."""

import time
from dataclasses import replace

import pytest

from detector.stream.decode import ANYTHING, FORMATS, decoder
from detector.stream.definition import Definition, Layout, Signal
from detector.stream.nouns import Batch, Drop, Message
from tests.benchmark.fuzz_decode import ARRIVAL_S, CASES

LOOKS = {
    "collectd": [
        b"1760000000.123:0.1:0.2:0.3\0",
        b"1760000000:nan:U\0",
        b"1760000000.250:-nan:inf\0",
        b"N:1:2",
    ],
    "influx": [
        b"interface,host=a,ifName=Gi0/0/1 in=1i,out=2i 1760000000000000000",
        b"weather temperature=82",
        b"# a comment\nweather,a\\ b=c\\,d temperature=82\nweather x=1",
        b"my\\ meas,host=a f=1",
        b"a\\,b,c=d f=1",
        b"a=b,c=d f=1",
        b"jvm{old},host=a f=1",
        b"m,t=a\\,b f=1i",
        b'm,t=a f="x y" 1',
        b'm f="a=b,c d"',
        b"m,path=/a=b f=1",
        b"m\\\\,t=a f=1",
        b"\xef\xbb\xbfm f=1",
        b"\r\n# one\r\n\r\n  # two\r\nm f=T\r\n",
        b"cpu,host=a usage=1 1\ncpu,host=b usage=2 1",
    ],
    "prometheus": [
        b"# HELP up Is it up?\n# TYPE up gauge\nup 1\n",
        b'http_requests_total{method="post",code="200"} 1027 1395066363000',
        b"up 1",
        b"# by an exporter of our own\nup 1",
        b'http_requests{path="/users/{id}"} 5',
        b'up{a="x y=z"} 1',
        b'up{a="say \\"}\\" 1"} +Inf',
        b'up{ a = "1" , } 1',
        b'up{a="1"} 1 # {x="1"} 1',
        b'le_bucket{le="0.5"} 17 1520879607.789 # {trace_id="KOO5S4vxi0o"} 0.67',
        b'{"my.metric",l="x"} 1\n',
        b'{"my.metric"} 1',
        b"\xef\xbb\xbfup NaN",
        b"# EOF\n",
    ],
    "csv": [
        b"device,in_octets\nr1,2\n",
        b'1,"a, b";2',
        b'"Gi0/0/1, ""x""",21.5',
        b'a, "b, c",1\r\n',
        b"a,b\rc,d",
        b'5" disk,3',
        b"a;b;c\n1;2;3",
        b"a\tb",
        b'"a b=c",1',
        b"hello there, world",
    ],
    "value": [b" 12.5\0", b"true", b"\xc3\xa9tat", b"ON", b'"21.5"', b"-3"],
    "senml": [
        b'[{"n":"x","v":1}]',
        b'[{"bver":10,"bn":"x","n":"a","v":1}]',
        b'[{"bver":10},{"n":"a","v":1}]',
        b'[{"bt":1.76e9,"bu":"A"},{"n":"a","v":1}]',
        b'[{"n":"a","v":1,"must_":2}]',
        b'[{"n":"a","vd":"bm8","ct":"60"}]',
        b"\x81\xa2\x00\x61\x61\x02\x01",
        b"\xd9\xd9\xf7\x81\xa2\x00\x61\x61\x02\x01",
    ],
    "telegraf-json": [
        b'{"fields":{"a":1},"name":"x","tags":{},"timestamp":1760000000}',
        b'{"metrics":[{"fields":{"a":1},"name":"x","tags":{},"timestamp":1760000000}]}',
        b'{"fields":{"update":1},"name":"x"}',
    ],
    "openconfig": [
        b'{"name":"x","timestamp":1,"tags":{},"values":{"/a/b":1}}',
        b'[{"name":"x","timestamp":1,"values":{"/a/b":1}}]',
        b'[{"name":"x","timestamp":1,"tags":{},"deletes":["/a[b=c]"]}]',
        b'{"source":"r1","timestamp":1,"prefix":"a","updates":[{"Path":"b","values":{"b":1}}]}',
        b'{"source":"r1","timestamp":1,"deletes":["a/b"]}',
        b'{"update":{"timestamp":"1","update":[]}}',
        b'{"update":{"timestamp":"1","delete":[{"elem":[]}]}}',
        b'{"update":{"timestamp":"1","update":[{"path":{"elem":[]},"val":{"intVal":"1"}}]}}',
        b'{"notification":[{"timestamp":1,"prefix":null,"update":[{"path":"a","val":1}]}]}',
        b'{"timestamp":1,"update":[{"path":"a","val":1}]}',
        b'{"syncResponse":true}',
        b'{"sync-response":true}',
    ],
    "json": [
        b'{"a":1}',
        b'\xef\xbb\xbf{"temperature":21.5,"b":1}',
        b"[1,2]",
        b"[]",
        b'{"a":',
        b'{"a","b"}',
        b'{"temperature":21.5,"update":{"state":"idle"},"update_available":false}',
        b'{"temperature":21.5,"update":{"state":"idle","timestamp":1}}',
        b'{"prefix":"x","temperature":2}',
        b'{"notification":"hi","delete":false,"deletes":3}',
        b'{"notification":[{"text":"hi","timestamp":1}]}',
        b'{"timestamp":1,"updates":[{"package":"x"}],"load":1}',
        b'{"timestamp":1,"updates":3,"deletes":[]}',
        b'{"updates":[{"path":"/usr","size":1}],"load":1}',
        b'{"deletes":["x"],"load":1}',
        b'{"name":"r1","timestamp":1,"values":{"a":1},"load":1}',
        b'{"metrics":[{"name":"cpu","value":1}]}',
        b'{"metrics":[]}',
        b'[{"fields":{"a":1}}]',
        b'[{"t":1760000000,"v":1}]',
        b'[{"n":"x","v":1,"unit":"Cel"}]',
        b'{"n":"a","v":1}',
    ],
    "": [b"hello world again", b"up one", b"up 1 now", b"\xff\xfe", b"\0 \n", b""],
}


@pytest.mark.parametrize(
    ("payload", "name"), [(payload, name) for name, payloads in LOOKS.items() for payload in payloads]
)
def test_a_payload_looks_like_a_format(payload, name):
    assert ANYTHING.format_of("t", payload) == name


@pytest.mark.parametrize(
    ("topic", "payload", "name"),
    [
        ("homie/r1/port/speed", b"21", "homie"),
        ("homie/r1/$state", b"", "homie"),
        ("homie/5/r1/$description", b'{"root":"r"}', "homie"),
        ("house-1/homie/r1/port/speed", b"21", "homie"),
        ("spBv1.0/g/NDATA/e", b"\x08\x01", "sparkplug"),
        ("spBv1.0/STATE/e", b'{"online":true}', "sparkplug"),
    ],
)
def test_the_topic_of_a_convention_says_more_than_the_payload(topic, payload, name):
    assert ANYTHING.format_of(topic, payload) == name


DEFINITION = Definition("any", ("device",), (Signal("a"),), 10.0, 60, "t/{device}/a", "auto")


def test_a_convention_that_does_not_fit_the_stream_says_nothing():
    looks = decoder(DEFINITION).looks
    assert looks.format_of("homie/r1/a", b"{}") == "json"
    assert looks.format_of("spBv1.0/g/NDATA/e", b"{}") == "json"


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


def test_the_delimiter_and_the_words_of_a_stream_are_known():
    stream = replace(
        DEFINITION, layout=Layout(delimiter="|"), signals=(Signal("a", words=(("so, so", 1.0),)),)
    )
    looks = decoder(stream).looks
    assert (looks.format_of("t", b"a|b"), ANYTHING.format_of("t", b"a|b")) == ("csv", "value")
    assert looks.format_of("t", b"so, so\0") == "value"


def read(definition, topic, payloads):
    """Return what a stream makes of messages, one after the other."""
    reader, batch = decoder(definition), Batch()
    for payload in payloads:
        assert reader.decode(Message(topic, payload, ARRIVAL_S), reader.template.match(topic), batch) is None
    return batch


@pytest.mark.parametrize(("definition", "topic", "payloads"), CASES, ids=[one.name for one, *_ in CASES])
def test_what_a_format_takes_auto_takes_with_the_same_samples(definition, topic, payloads):
    assert read(replace(definition, format="auto"), topic, payloads) == read(definition, topic, payloads)


def test_every_format_is_looked_for():
    assert {*LOOKS, "homie", "sparkplug"} == {*FORMATS, ""} - {"auto"}


@pytest.mark.parametrize(
    "part",
    [
        b"a=b,", b"\\,", b"\\", b'"', b'""', b"a ", b"{", b"1:", b"a,", b"#x\n", b"=", b" ", b"\n", b'a="b",',
        b"{}", b'{"a"', b"\t", b"\r\n",
    ],
)  # fmt: skip
def test_looking_takes_no_longer_for_what_is_made_to_make_it(part):
    begun_s = time.process_time()
    for lead in (b"", b"a,", b"a{", b"1:", b'{"a"', b'"', b"# "):
        ANYTHING.format_of("t", lead + part * 100_000)
    assert time.process_time() - begun_s < 2.0
