"""Captures: what becomes a line, and what a line becomes."""

from collections import Counter
from math import inf, isnan

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detector.edge import capture
from detector.edge.capture import Skip, read_capture, read_line, to_line
from detector.stream.nouns import Message

AT_S = 1_795_444_691.690409  # 2026-11-23 14:38:11.690409 UTC


def read(tmp_path, data):
    """Return the messages of a file with this content, and what was skipped."""
    (tmp_path / "capture").write_bytes(data)
    skipped = Counter()
    return list(read_capture(tmp_path / "capture", skipped)), skipped


# What mosquitto_sub 2.0.11 printed


MOSQUITTO = {
    b'{"tst":"2026-11-23T15:38:11.690409Z+0100","topic":"a b/c","qos":1,"retain":0,"payloadlen":14,"mid":1,'
    b'"properties":{"user-properties":{"k":"v"},"content-type":"x","message-expiry-interval":60},'
    b'"payload":"h\xc3\xa4llo \\"x\\" \\\\ 1"}\n': Message(
        "a b/c",
        'hällo "x" \\ 1'.encode(),
        AT_S,
        properties=(("k", "v"),),
        packet_id=1,
        qos=1,
        expires_s=AT_S + 60,
    ),
    b'{"tst":"2026-11-23T14:38:11.690409Z+0000","topic":"a/n","qos":2,"retain":1,"payloadlen":0,"mid":2,'
    b'"payload":null}\n': Message("a/n", b"", AT_S, retained=True, packet_id=2, qos=2),
    b'{"tst":"2026-11-23T04:38:11.690409Z-1000","topic":"a","qos":0,"payloadlen":1,"payload":"1"}\n': Message(
        "a", b"1", AT_S
    ),
    # a NUL byte was after it
    b'{"tst":"2026-11-23T04:38:11.690409Z-1000","topic":"a","qos":0,"payloadlen":3,"payload":"a"}\n': (
        Skip.ALTERED
    ),
    b'{"tst":"2026-11-23T14:38:11.690409Z","topic":"a","qos":0,"retain":0,"payloadlen":3,'
    b'"payload":"\xff\xfe\\u0001"}\n': Message("a", b"\xff\xfe\x01", AT_S),
    b'{"tst":"2026-11-23T14:38:11.690409+00:00","topic":"a","qos":0,"retain":0,"payloadlen":6,'
    b'"payload":"l1\\nl2\\n"}\n': Message("a", b"l1\nl2\n", AT_S),
    # of 2.1, bytes that are no text
    b'{"tst":"2026-11-23T14:38:11.690409+0000","topic":"a","qos":0,"retain":0,"payloadlen":3,'
    b'"payload":[97,0,255]}\n': Message("a", b"a\0\xff", AT_S),
    # of 1.5, and with `-F %J`, which parses the payload
    b'{"tst":1795444691.690409,"topic":"a","qos":0,"retain":0,"payloadlen":1,"payload":"1"}\n': Message(
        "a", b"1", AT_S
    ),
    b'{"tst":"2026-11-23T14:38:11.690409Z","topic":"a","qos":0,"payloadlen":5,"payload":[1,2]}\n': (
        Skip.ALTERED
    ),
    b'{"tst":"2026-11-23T14:38:11.690409Z","topic":"a","qos":0,"payloadlen":8,"payload":{"a":1}}\n': (
        Skip.ALTERED
    ),
    b'{"tst":"2026-11-23T14:38:11.690409Z","topic":"a","qos":0,"payloadlen":5,"payload":"str"}\n': (
        Skip.ALTERED
    ),
}


@pytest.mark.parametrize(("line", "expected"), MOSQUITTO.items(), ids=range(len(MOSQUITTO)))
def test_a_line_of_mosquitto_sub_is_the_message_that_it_was(line, expected):
    assert read_line(line) == expected


@pytest.mark.parametrize(
    ("line", "topic", "payload"),
    [
        (b"a/b 1.5\n", "a/b", b"1.5"),
        (b"a/b 1.5", "a/b", b"1.5"),
        (b"a/nul a\0b\n", "a/nul", b"a\0b"),
        (b"a/bin \xff\xfe\x01\n", "a/bin", b"\xff\xfe\x01"),
        (b"a/n (null)\n", "a/n", b""),
        (b"a/e \n", "a/e", b""),
        (b'a/json {"a": 1.0}\n', "a/json", b'{"a": 1.0}'),
        ("a/ä ö\n".encode(), "a/ä", "ö".encode()),
    ],
)
def test_a_line_with_topic_and_payload_has_no_time(line, topic, payload):
    message = read_line(line)
    assert (message.topic, message.payload) == (topic, payload)
    assert isnan(message.arrival_s)


@pytest.mark.parametrize(
    ("line", "skip"),
    [
        (b'{"tst":"2026-11-23T14:38:11.690409Z","topic":"a","qos":0,"ret', Skip.TORN),
        (b'{"tst":"2026-11-23T14:38:11.690409Z","topic":"a","payload":"1"', Skip.TORN),
        (b"{", Skip.TORN),
        (b'{"level":"info","message":"hello"}\n', Skip.FOREIGN),
        (b'{"topic":"a"}\n', Skip.FOREIGN),
        (b'{"topic":"a","qos":3,"payload":"1"}\n', Skip.FOREIGN),
        (b'{"topic":"a","mid":-1,"payload":"1"}\n', Skip.FOREIGN),
        (b'{"topic":"a","mid":"1","payload":"1"}\n', Skip.FOREIGN),
        (b'{"topic":"a/#","payload":"1"}\n', Skip.FOREIGN),
        (b'{"topic":"","payload":"1"}\n', Skip.FOREIGN),
        (b'{"topic":["a"],"payload":"1"}\n', Skip.FOREIGN),
        (b'{"topic":"\xff","payload":"1"}\n', Skip.FOREIGN),
        (b'{"topic":"a","payload_base64":"*"}\n', Skip.FOREIGN),
        (b'{"topic":"a","payload":"1","tst":"yesterday"}\n', Skip.FOREIGN),
        (b'{"topic":"a","payload":"1","properties":[1]}\n', Skip.FOREIGN),
        (b'{"topic":' * 100_000, Skip.FOREIGN),
        (b"no-space\n", Skip.FOREIGN),
        (b'  "further": "line of a payload"\n', Skip.FOREIGN),
        (b"a/+ 1\n", Skip.FOREIGN),
        (b"\xff\xfe 1\n", Skip.FOREIGN),
    ],
)
def test_what_is_no_message_is_told_apart(line, skip):
    assert read_line(line) == skip


# Our own lines


MESSAGES = [
    Message("a/b", b'{"x": 1}', AT_S),
    Message("a/ü", 'ö\n"\\\u2028\0'.encode(), AT_S, retained=True, packet_id=7, qos=2, duplicate=True),
    Message("a", b"\xff\0", AT_S, properties=(("k", "v"), ("site", "fra1")), expires_s=AT_S + 30),
    Message("a", b"", AT_S, properties=(("k", "v"), ("k", "w"))),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_that_was_written_is_read_back(message):
    line = to_line(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert read_line(line) == message


def test_a_line_has_the_keys_of_mosquitto_sub():
    assert to_line(MESSAGES[0]) == (
        b'{"tst":"2026-11-23T14:38:11.690409Z","topic":"a/b","qos":0,"retain":0,"payloadlen":8,'
        b'"payload":"{\\"x\\": 1}"}\n'
    )
    assert to_line(MESSAGES[2]) == (
        b'{"tst":"2026-11-23T14:38:11.690409Z","topic":"a","qos":0,"retain":0,"payloadlen":2,'
        b'"properties":{"user-properties":{"k":"v","site":"fra1"},"message-expiry-interval":30},'
        b'"payload_base64":"/wA="}\n'
    )
    assert orjson.loads(to_line(MESSAGES[1])).keys() >= {"mid", "dup"}


def test_a_packet_id_is_that_of_the_packet():
    assert (
        orjson.loads(to_line(Message("a", b"", AT_S, packet_id=5 << 18 | 1 << 16 | 258, qos=1)))["mid"] == 258
    )


TOPICS = st.text(st.characters(exclude_characters="+#\0", exclude_categories=["Cs"]), min_size=1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    topic=TOPICS,
    payload=st.binary() | TEXTS.map(str.encode),
    micros=st.integers(0, 4_000_000_000_000_000),
    retained=st.booleans(),
    properties=st.lists(st.tuples(TEXTS, TEXTS)).map(tuple),
    packet_id=st.integers(0, 65_535),
    qos=st.integers(0, 2),
    duplicate=st.booleans(),
    expiry_s=st.none() | st.integers(0, 2**32 - 1),
)
def test_every_message_is_read_back(
    topic, payload, micros, retained, properties, packet_id, qos, duplicate, expiry_s
):
    arrival_s = micros / 1e6
    expires_s = inf if expiry_s is None else arrival_s + expiry_s
    message = Message(
        topic, payload, arrival_s, retained, properties, packet_id, qos, duplicate, expires_s=expires_s
    )
    back = read_line(to_line(message))
    assert back._replace(arrival_s=arrival_s, expires_s=expires_s) == message
    assert abs(back.arrival_s - arrival_s) < 1e-6
    assert back.expires_s == expires_s or abs(back.expires_s - expires_s) < 1e-6


@given(st.binary() | st.binary().map(lambda data: b"{" + data))
@example(b'{"topic":"a","payload":"1","tst":1e400}')
@example(b'{"topic":"a","payload":"1","tst":"2026-01-01"}')
@example(b'{"topic":"a","payload":"1","properties":{"user-properties":[["a"]]}}')
@example(b'{"topic":"a","payload":"\\ud800"}')
@example(b'{"topic":"a","payload":[300],"payloadlen":1}')
@example(b'{"topic":"a","payload":true,"payloadlen":{}}')
@example(b'{"topic":"a","payload":"1","properties":{"message-expiry-interval":"x"}}')
def test_no_line_is_too_strange(line):
    assert isinstance(read_line(line), (Message, Skip))


# Files


def test_a_capture_is_read_in_order_and_what_is_no_message_is_counted(tmp_path):
    lines = [
        to_line(MESSAGES[0]),
        b"\n",
        b"a/b 1\n",
        b"end\n",
        to_line(MESSAGES[1]),
        to_line(MESSAGES[2])[:-9],
    ]
    messages, skipped = read(tmp_path, b"".join(lines))
    assert [(one.topic, one.payload) for one in messages] == [
        ("a/b", b'{"x": 1}'),
        ("a/b", b"1"),
        (MESSAGES[1].topic, MESSAGES[1].payload),
    ]
    assert skipped == {Skip.FOREIGN: 1, Skip.TORN: 1}


def test_an_empty_capture_has_no_messages(tmp_path):
    assert read(tmp_path, b"") == ([], {})


def test_a_line_without_end_costs_a_bounded_memory_and_not_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(capture, "LINE_BYTES_MAX", 100)
    data = b"x" * 1000 + b"\n" + b"a/b 1\n" + b"a" * 99 + b"\n" + b"a/c 2\n"
    messages, skipped = read(tmp_path, data)
    assert [one.topic for one in messages] == ["a/b", "a/c"]
    assert skipped == {Skip.FOREIGN: 2}


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        next(read_capture(tmp_path / "none", Counter()))
