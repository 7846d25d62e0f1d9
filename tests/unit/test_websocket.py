"""A WebSocket as a socket: both ends in one process, over a real pair of sockets."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from detector.edge import websocket
from detector.edge.failures import Stage, explain
from detector.edge.websocket import WebSocket, WebSocketError, authority, headers
from detector.mqtt_settings import MqttSettings
from detector.settings import SettingsError
from tests.support.servers import saying, serving

SECRET = "correct horse battery staple"
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept(request, protocol="mqtt"):
    """Return the answer to a request, as RFC 6455 section 4.2.2 wants it."""
    key = re.search(rb"(?i)sec-websocket-key: (\S+)", request)[1].decode()
    digest = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Accept: {digest}"] + [f"Sec-WebSocket-Protocol: {protocol}"] * bool(protocol)
    return "\r\n".join([*lines, "", ""]).encode()


def frame(payload, opcode=2, *, final=True):
    """Return a frame of a server: not masked."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    else:
        length = b"\x7e" + size.to_bytes(2, "big") if size < 65536 else b"\x7f" + size.to_bytes(8, "big")
    return bytes([opcode | 0x80 * final]) + length + payload


def unmasked(data):
    """Return the frames of a client as pairs of opcode and payload."""
    frames = []
    while data:
        size, at = data[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        assert data[1] & 0x80, "a client masks"
        mask, body = data[at : at + 4], data[at + 4 : at + 4 + size]
        frames.append((data[0] & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(body))))
        data = data[at + 4 + size :]
    return frames


@pytest.fixture
def opened():
    """Open WebSockets that do not wait: each with the socket of its other side, and what that was asked."""
    sockets = []

    def open_one(first=b"", given=()):
        ours, theirs = socket.socketpair()
        sockets.extend((ours, theirs))
        for each in (ours, theirs):
            each.settimeout(10)
        one = WebSocket(ours, "broker:8080", "/mqtt", list(given))
        with ThreadPoolExecutor(1) as pool:
            shaken = pool.submit(one.do_handshake)
            request = theirs.recv(65536)
            theirs.sendall(accept(request) + first)
            shaken.result(10)
        one.setblocking(False)
        return one, theirs, request

    yield open_one
    for each in sockets:
        each.close()


def received(one):
    """Return all that has arrived."""
    data = b""
    try:
        while part := one.recv(7):
            data += part
    except BlockingIOError:
        return data
    return data + b"<end>"


# The request and the answer


def test_the_request_names_path_host_protocol_and_further_headers(opened):
    _, _, request = opened(given=[(b"Authorization", b"Bearer x")])
    lines = request.split(b"\r\n")
    assert lines[0] == b"GET /mqtt HTTP/1.1"
    assert {b"Host: broker:8080", b"Sec-WebSocket-Protocol: mqtt", b"Authorization: Bearer x"} <= set(lines)


def test_what_comes_with_the_answer_is_not_lost(opened):
    one, _, _ = opened(first=frame(b"at once") + frame(b", and more"))
    assert one.pending() == 17
    assert received(one) == b"at once, and more"
    assert one.pending() == 0


def connected(port, timeout_s=10):
    return socket.create_connection(("127.0.0.1", port), timeout_s)


STATUS = b"HTTP/1.1 %s\r\nContent-Length: 3\r\n\r\nno!"


@pytest.mark.parametrize(
    ("answer", "what", "todo"),
    [
        (STATUS % b"401 Unauthorized", "HTTP status 401", "mqtt.websocket_headers_file"),
        (STATUS % b"403 Forbidden", "HTTP status 403", "mqtt.websocket_headers_file"),
        (STATUS % b"404 Not Found", "HTTP status 404", "mqtt.websocket_path '/mqtt'"),
        (STATUS % b"302 Found", "HTTP status 302", "port"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "HTTP status 100", "port"),
        (b"", "closed instead of an answer", "port"),
        (b"HTTP/1.1 1", "closed instead of an answer", "port"),
        (b"\x20\x02\x00\x05\r\n", "no WebSocket's: Bad HTTP message", "port"),
        (b"x" * 100_000, "no WebSocket's", "port"),
        (b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n\r\n", "no WebSocket's: Missing header", "port"),
        (b"HTTP/1.1 101 Yes\r\nSec-WebSocket-Protocol: \xff\r\n\r\n", "no WebSocket's", "port"),
    ],
)
def test_an_answer_that_is_no_consent_is_an_error_that_says_what_to_do(answer, what, todo):
    with serving(saying(answer)) as port, connected(port) as plain, pytest.raises(WebSocketError) as caught:
        WebSocket(plain, "broker", "/mqtt", []).do_handshake()
    failure = explain(caught.value, MqttSettings(transport="websockets"), Stage.HANDSHAKE)
    assert failure.reason == "websocket"
    assert what in failure.line
    assert todo in failure.line.partition(";")[2]
    assert len(failure.line) < 300


@pytest.mark.parametrize("protocol", ["", "chat"])
def test_a_server_without_mqtt_is_refused(protocol):
    def talk(connection):
        connection.sendall(accept(connection.recv(4096), protocol))

    with serving(talk) as port, connected(port) as plain, pytest.raises(WebSocketError):
        WebSocket(plain, "broker", "/mqtt", []).do_handshake()


def test_a_key_that_was_not_asked_for_is_refused():
    def talk(connection):
        connection.recv(4096)
        connection.sendall(accept(b"Sec-WebSocket-Key: AAAA "))

    with serving(talk) as port, connected(port) as plain, pytest.raises(WebSocketError, match="accept"):
        WebSocket(plain, "broker", "/mqtt", []).do_handshake()


def test_a_server_that_answers_byte_by_byte_is_given_up_in_time():
    def talk(connection):
        connection.recv(4096)
        for _ in range(100):
            connection.sendall(b"HTTP/1.1 101 Y\r\nX: " + b"x")
            time.sleep(0.02)

    with serving(talk) as port, connected(port, 0.2) as plain, pytest.raises(TimeoutError):
        WebSocket(plain, "broker", "/mqtt", []).do_handshake()


# Frames


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 300_000])
def test_a_frame_of_any_length_arrives_whole(opened, size):
    one, theirs, _ = opened()
    payload = bytes(index % 251 for index in range(size))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(theirs.sendall, frame(payload) + frame(b"<next>"))
        data = b""
        while not data.endswith(b"<next>"):
            data += received(one)
    assert data == payload + b"<next>"


def test_a_frame_is_passed_on_while_it_arrives(opened):
    one, theirs, _ = opened()
    theirs.sendall(frame(b"x" * 1000)[:500])
    assert received(one) == b"x" * 496
    buffer = memoryview(bytearray(8))
    theirs.sendall(frame(b"x" * 1000)[500:])
    assert one.recv_into(buffer) == 8
    assert one.pending() == 496


def test_a_message_in_several_frames_with_a_ping_between_is_one_stream(opened):
    one, theirs, _ = opened()
    theirs.sendall(frame(b"ab", final=False) + frame(b"are you there", 9) + frame(b"cd", 0) + frame(b"ef"))
    assert received(one) == b"abcdef"
    assert unmasked(theirs.recv(4096)) == [(10, b"are you there")]


def test_what_is_sent_is_masked_and_whole(opened):
    one, theirs, _ = opened()
    assert one.send(b"hello") == 5
    assert one.send(bytearray(b"x" * 200)) == 200
    assert unmasked(theirs.recv(4096)) == [(2, b"hello"), (2, b"x" * 200)]


def test_a_socket_that_takes_a_part_is_asked_again_with_the_same_data(opened):
    one, theirs, _ = opened()
    data = bytes(3_000_000)
    taken, arrived = 0, b""
    blocked = 0
    while not taken:
        try:
            taken = one.send(data + b"more, which is not sent yet"[: 27 * bool(blocked)])
        except BlockingIOError:
            blocked += 1
            arrived += theirs.recv(1 << 20)
    theirs.setblocking(False)
    while part := _recv(theirs):
        arrived += part
    assert blocked > 1
    assert taken == len(data)
    ((opcode, size),) = [(arrived[0], int.from_bytes(arrived[2:10], "big"))]
    assert (opcode, size, len(arrived)) == (0x82, len(data), 14 + len(data))


def _recv(connection):
    try:
        return connection.recv(1 << 20)
    except BlockingIOError:
        return b""


@pytest.mark.parametrize(
    "last", [frame(b"\x03\xe8bye", 8), frame(b"", 8), b"\x82\x81maskx", b"\xf2\x00", frame(b"\x03", 8), None]
)
def test_a_goodbye_a_broken_frame_and_a_closed_connection_are_the_end(opened, last):
    one, theirs, _ = opened()
    theirs.sendall(frame(b"before") + (last or b""))
    if last is None:
        theirs.close()
    assert received(one) == b"before<end>"
    assert one.recv(10) == b""


def test_after_a_goodbye_nothing_can_be_sent(opened):
    one, theirs, _ = opened()
    theirs.sendall(frame(b"\x03\xe8", 8))
    assert one.recv(10) == b""
    with pytest.raises(BrokenPipeError):
        one.send(b"x")
    one.close()


def test_text_is_refused(opened):
    one, theirs, _ = opened()
    theirs.sendall(frame(b"text", 1))
    with pytest.raises(WebSocketError, match="text"):
        one.recv(10)


def test_closing_says_goodbye_once(opened):
    one, theirs, _ = opened()
    one.close()
    one.close()
    assert unmasked(theirs.recv(4096)) == [(8, (1000).to_bytes(2, "big"))]
    assert theirs.recv(1) == b""


# Headers and address


def test_headers_come_one_a_line(tmp_path):
    file = tmp_path / "headers"
    file.write_text("Authorization: Bearer a:b\nX-Empty:\nOrigin:  https://x \n")
    mqtt = MqttSettings(transport="websockets", websocket_headers_file=file)
    assert headers(mqtt) == [
        (b"Authorization", b"Bearer a:b"),
        (b"X-Empty", b""),
        (b"Origin", b"https://x"),
    ]
    assert headers(MqttSettings()) == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (SECRET, "is not Name: value"),
        ("", "is not Name: value"),
        (f"A name: {SECRET}", "is not Name: value"),
        (f": {SECRET}", "is not Name: value"),
        (f"Name: {SECRET}\x00", "is not Name: value"),
        (f"Name: {SECRET}\xe4", "is not Name: value"),
        ("Host: x", ": Host is not to be chosen"),
        ("sec-websocket-key: x", ": sec-websocket-key is not to be chosen"),
        ("Upgrade: x", ": Upgrade is not to be chosen"),
    ],
)
def test_a_line_that_is_no_header_is_named_and_not_repeated(line, what):
    mqtt = MqttSettings(transport="websockets", websocket_headers=f"X: y\n{line}\nZ: z")
    with pytest.raises(SettingsError) as caught:
        headers(mqtt)
    assert str(caught.value) == f"mqtt.websocket_headers: line 2{what if what[0] == ':' else ' ' + what}"


@pytest.mark.parametrize(
    ("host", "port", "tls", "expected"),
    [
        ("broker", 8080, False, "broker:8080"),
        ("broker", 80, False, "broker"),
        ("broker", 80, True, "broker:80"),
        ("broker", 443, True, "broker"),
        ("::1", 443, True, "[::1]"),
        ("::1", 9001, False, "[::1]:9001"),
    ],
)
def test_the_address_leaves_out_a_port_that_goes_without_saying(host, port, tls, expected):
    assert authority(host, port, tls=tls) == expected


def test_a_path_that_is_not_there_is_shown_without_what_may_be_its_signature(tmp_path):
    def said(**settings):
        mqtt = MqttSettings(transport="websockets", **settings)
        return explain(WebSocketError("no", 404), mqtt, Stage.HANDSHAKE).line.partition("; ")[2]

    assert said(websocket_path="/mqtt?X-Amz-Signature=s3cret") == "is mqtt.websocket_path '/mqtt?…' right?"
    assert said(websocket_path_file=tmp_path / "path") == "is mqtt.websocket_path_file right?"


def test_the_path_comes_from_a_file_and_is_not_repeated_where_it_is_none(tmp_path):
    file = tmp_path / "path"
    mqtt = MqttSettings(transport="websockets", websocket_path_file=file)
    file.write_text("/mqtt?X-Amz-Signature=s3cret\n")
    assert websocket.path(mqtt) == "/mqtt?X-Amz-Signature=s3cret"
    file.write_text("wss://s3cret")
    with pytest.raises(SettingsError) as caught:
        websocket.path(mqtt)
    assert str(caught.value) == f"mqtt.websocket_path_file: {file}: not a path"
