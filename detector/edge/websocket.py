"""WebSocket beneath MQTT: a connection that looks like the socket under it, and carries its bytes in frames.

The protocol itself is wsproto's (RFC 6455), which does no IO and passes on a frame while it arrives, so that
a large message costs no more memory here than a small one.
"""

from __future__ import annotations

import contextlib
import math
import re
import ssl
import time
from socket import socket
from typing import Final

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from detector.edge.tls import last_word
from detector.settings import SettingsError, secret
from detector.transport_settings import WEBSOCKET_PATH, TransportSettings

READ_BYTES: Final = 1 << 16
ERROR_CHARS_MAX: Final = 100
"""Of what the parser says, which may repeat all that it was sent."""
SUBPROTOCOL: Final = "mqtt"
"""How MQTT is asked for within WebSocket, MQTT 3.1.1 section 6."""
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS: Final = re.compile(
    r"(connection|upgrade|host|content-length|transfer-encoding|sec-websocket-.*)", re.IGNORECASE
)

Headers = list[tuple[bytes, bytes]]


class WebSocketError(ConnectionError):
    """There is no WebSocket; the message says why.

    `status` is that of the HTTP answer, 0 where there was none.
    """

    def __init__(self, what: str, status: int = 0) -> None:
        super().__init__(what)
        self.status = status


class WebSocket:
    """A WebSocket to a broker, as a socket.

    Args:
        connection: A connected socket, with TLS or without; with TLS, before the handshake.
        host: Host and port as the address has them.
        path: What comes after them.
        headers: Further headers of the request.
    """

    def __init__(self, connection: socket | ssl.SSLSocket, host: str, path: str, headers: Headers) -> None:
        self._connection = connection
        self._request = Request(host=host, target=path, subprotocols=[SUBPROTOCOL], extra_headers=headers)
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._arrived = b""
        self._framed = b""
        self._promised = 0
        self._ended = False

    def do_handshake(self) -> None:
        """Shake hands, of TLS and then of WebSocket, each within the time-out of the socket.

        Raises:
            WebSocketError: The other side refuses, or speaks something else.
            OSError: The connection is broken.
        """
        if isinstance(self._connection, ssl.SSLSocket):
            self._connection.do_handshake()
        timeout_s = self._connection.gettimeout()
        deadline_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        self._ask()
        while self._protocol.state is ConnectionState.CONNECTING:
            try:
                data = self._connection.recv(READ_BYTES)
            except ConnectionError:
                data = b""
            self._receive(data)
            if time.monotonic() > deadline_s:  # else a byte a second would do
                raise TimeoutError("timed out")

    def recv_into(self, buffer: memoryview) -> int:
        """Fill a buffer with what has arrived; return how much, 0 at the end."""
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def recv(self, count: int) -> bytes:
        """Return what has arrived, nothing at the end.

        Raises:
            BlockingIOError, SSLWantReadError: Nothing has, on a socket that does not wait.
            OSError: The connection is broken.
        """
        while not self._arrived and not self._ended:
            self._receive(self._connection.recv(READ_BYTES))
        data, self._arrived = self._arrived[:count], self._arrived[count:]
        return data

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Send all of the data or none: while the socket takes only a part, call again with the same data.

        Raises:
            BlockingIOError, SSLWantWriteError: The socket takes no more now.
            OSError: The connection is broken.
        """
        if not self._promised:
            try:
                self._framed += self._protocol.send(BytesMessage(bytes(data)))
            except LocalProtocolError:  # the other side has closed
                raise BrokenPipeError("the WebSocket is closed") from None
            self._promised = len(data)
        self._flush()
        sent, self._promised = self._promised, 0
        return sent

    def pending(self) -> int:
        """How many bytes wait that `select` does not see, at least."""
        hidden = self._connection.pending() if isinstance(self._connection, ssl.SSLSocket) else 0
        return len(self._arrived) + hidden

    def fileno(self) -> int:
        """As of a socket."""
        return self._connection.fileno()

    def settimeout(self, timeout_s: float | None) -> None:
        """As of a socket."""
        self._connection.settimeout(timeout_s)

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 -- as of a socket
        """As of a socket."""
        self._connection.setblocking(flag)

    def close(self) -> None:
        """Say goodbye where the socket takes it, and close it."""
        try:
            self._framed += self._protocol.send(CloseConnection(code=1000))
            self._flush()
        except (LocalProtocolError, OSError):
            pass
        finally:
            self._connection.close()

    def _ask(self) -> None:
        try:
            self._connection.sendall(self._protocol.send(self._request))
        except OSError as error:
            word = last_word(self._connection.recv, error)
            if isinstance(word, ssl.SSLError):
                raise word from None
            self._end()

    def _flush(self) -> None:
        while self._framed:
            self._framed = self._framed[self._connection.send(self._framed) :]

    def _receive(self, data: bytes) -> None:
        """Take in what has arrived; called while nothing that arrived before is left."""
        if not data:
            self._end()
            return
        payloads: list[bytes | bytearray] = []
        try:
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                if isinstance(event, BytesMessage):
                    payloads.append(event.data)
                else:
                    self._handle(event)
        except (RemoteProtocolError, UnicodeError) as error:
            raise WebSocketError(f"the answer is no WebSocket's: {str(error)[:ERROR_CHARS_MAX]}") from None
        self._arrived = b"".join(payloads)

    def _handle(self, event: Event) -> None:
        if isinstance(event, RejectConnection):
            raise WebSocketError(f"the answer has HTTP status {event.status_code}", event.status_code)
        if isinstance(event, AcceptConnection) and event.subprotocol != SUBPROTOCOL:
            raise WebSocketError("the other side has no MQTT within its WebSocket")
        if isinstance(event, TextMessage):
            raise WebSocketError("the other side sends text, which is no MQTT")
        if isinstance(event, Ping):
            self._answer(event.response())
        elif isinstance(event, CloseConnection):
            self._end()

    def _end(self) -> None:
        if self._protocol.state is ConnectionState.CONNECTING:
            raise WebSocketError("the connection was closed instead of an answer to the request")
        self._ended = True

    def _answer(self, event: Pong) -> None:
        self._framed += self._protocol.send(event)
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._flush()  # else with what is sent next


def headers(settings: TransportSettings) -> Headers:
    """Return the further headers of the request.

    Raises:
        SettingsError: The file cannot be read, or has something else, which the message does not repeat.
    """
    text = secret(settings, "websocket_headers")
    key = (
        "mqtt.websocket_headers" if settings.websocket_headers_file is None else "mqtt.websocket_headers_file"
    )
    found: Headers = []
    for number, line in enumerate(() if text is None else text.splitlines(), 1):
        name, colon, value = line.partition(":")
        value = value.strip()
        if not colon or not _NAME.fullmatch(name) or not value.isascii() or not value.isprintable():
            raise SettingsError(f"{key}: line {number} is not Name: value")
        if _OURS.fullmatch(name):
            raise SettingsError(f"{key}: line {number}: {name} is not to be chosen")
        found.append((name.encode(), value.encode()))
    return found


def path(settings: TransportSettings) -> str:
    """Return what comes after host and port.

    Raises:
        SettingsError: The file cannot be read, or has something else, which the message does not repeat.
    """
    text = secret(settings, "websocket_path")
    assert text is not None  # it has a default
    if not re.fullmatch(WEBSOCKET_PATH, text):
        raise SettingsError(f"mqtt.websocket_path_file: {settings.websocket_path_file}: not a path")
    return text


def authority(host: str, port: int, *, tls: bool) -> str:
    """Return host and port as the address of a WebSocket has them."""
    name = f"[{host}]" if ":" in host else host
    return name if port == (443 if tls else 80) else f"{name}:{port}"
