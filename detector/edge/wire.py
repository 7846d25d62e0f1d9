"""The socket under paho: it takes the messages out of the stream in bulk and leaves all else to paho.

paho lets its user bring a context that wraps the connected socket (`tls_set_context`); what that returns is
the socket that it reads, writes and closes. `Wire` stands there, with TLS beneath it or without. Of what
arrives, paho sees the packets that it has to answer, and none of the messages. What paho writes is sent at
once where the socket takes it and kept where not, so that our own acknowledgements never land within one of
its packets.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from detector.edge.failures import Failure, Stage, explain
from detector.edge.framing import READ_BYTES, Framing, Publish
from detector.edge.tls import last_word
from detector.edge.transport import Connection, layered
from detector.edge.websocket import WebSocket
from detector.transport_settings import TransportSettings

READS_MAX: Final = 8
"""Reads in a row before anything else gets its turn."""
FIRST_BYTES: Final = 16
"""What is kept of what came first: enough to see what the other side speaks."""
_PUBACK: Final = b"\x40\x02"
_PINGREQ: Final = b"\xc0\x00"
LAYERS: Final = (ssl.SSLSocket, WebSocket)
_TLS_WAITS: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)


class Bell:
    """Wakes a thread that sleeps in `poll`, from another one. Silent before `hang` and after `take_down`."""

    def __init__(self) -> None:
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def hang(self) -> None:
        """Make it ring from now on."""
        self._ends = socket.socketpair()
        for end in self._ends:
            end.setblocking(False)

    def ring(self) -> None:
        """Wake the sleeper up, now or as soon as it goes to sleep."""
        if self._ends is not None:
            with contextlib.suppress(OSError):  # full: it rings already; closed: nobody sleeps there any more
                self._ends[1].send(b"!")

    def silence(self) -> None:
        """Stop it, for the one that it woke up."""
        if self._ends is not None:
            self._ends[0].recv(READ_BYTES)

    def fileno(self) -> int:
        """Name it for `poll`."""
        return -1 if self._ends is None else self._ends[0].fileno()

    def take_down(self) -> None:
        """Close it."""
        for end in self._ends or ():
            end.close()


class Wire:
    """A connected socket, as paho uses one.

    Args:
        connection: The socket, and what is upon it.
        framing: How its bytes are cut.

    `shaken` says that hands are shaken, `first` is what came first, `error` what went wrong first, which paho
    does not tell, and `ended` that the other side has closed.
    """

    def __init__(self, connection: Connection, framing: Framing) -> None:
        self._connection = connection
        self._framing = framing
        self._for_paho = b""
        self._unsent = b""
        self._buffer = memoryview(bytearray(READ_BYTES))
        self.shaken = False
        self.first = b""
        self.error: OSError | None = None
        self.ended = False

    # What we call

    def read(self) -> Sequence[Publish]:
        """Read what has arrived; return the messages in it, in order.

        Raises:
            OSError: The connection is broken.
        """
        messages: list[Publish] = []
        for _ in range(READS_MAX):
            size = self._fill()
            if size and not self.first:
                self.first = bytes(self._buffer[: min(size, FIRST_BYTES)])
            found, others = self._framing.split(bytes(self._buffer[:size]))
            messages += found
            self._for_paho += others
            if size < READ_BYTES:
                break
        return messages

    def _fill(self) -> int:
        """Fill the buffer with what has arrived; return how much that is.

        A layer hands out little at a time: TLS a record, in which a broker sends one message. A socket gives
        all that it has.
        """
        size, layered = 0, isinstance(self._connection, LAYERS)
        try:
            while size < READ_BYTES and not self.ended:
                count = self._connection.recv_into(self._buffer[size:])
                self.ended = not count
                size += count
                if not layered:
                    break
        except _TLS_WAITS:
            pass
        except OSError as error:
            self.error = self.error or error
            if not size:
                raise
        return size

    def unread(self) -> bool:
        """Say whether bytes wait that `select` does not see: those that a layer has taken off the socket."""
        return isinstance(self._connection, LAYERS) and self._connection.pending() > 0

    def speaks_to_paho(self) -> bool:
        """Say whether paho has something to read."""
        return bool(self._for_paho) or self.ended

    def wants_write(self) -> bool:
        """Say whether bytes wait for the socket."""
        return bool(self._unsent)

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Send the acknowledgements of messages of QoS 1, as one."""
        self.send(b"".join([_PUBACK + packet_id.to_bytes(2, "big") for packet_id in packet_ids]))

    def ping(self) -> None:
        """Tell the broker that we are here; for while the socket is not read, and paho is not asked."""
        self.send(_PINGREQ)

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it.

        Raises:
            OSError: The connection is broken.
        """
        try:
            while self._unsent:
                self._unsent = self._unsent[self._connection.send(self._unsent) :]
        except _TLS_WAITS:
            pass
        except OSError as error:
            self.error = self.error or last_word(self._connection.recv, error)
            raise self.error from None

    # What paho calls

    def recv(self, count: int) -> bytes:
        """Give paho its bytes.

        Raises:
            BlockingIOError: There are none now.
        """
        if not self._for_paho:
            if self.ended:
                return b""
            raise BlockingIOError
        data, self._for_paho = self._for_paho[:count], self._for_paho[count:]
        return data

    def send(self, data: bytes | bytearray) -> int:
        """Take all of the data, and send it when the socket takes it."""
        self._unsent += bytes(data)
        self.flush()
        return len(data)

    def fileno(self) -> int:
        """Name it for `select`."""
        return self._connection.fileno()

    def pending(self) -> int:
        """How many bytes paho can read at once."""
        return len(self._for_paho)

    def settimeout(self, timeout_s: float | None) -> None:
        """As of a socket."""
        self._connection.settimeout(timeout_s)

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 -- as of a socket
        """As of a socket."""
        self._connection.setblocking(flag)

    def do_handshake(self) -> None:
        """Shake hands, of every layer that does."""
        try:
            if isinstance(self._connection, LAYERS):
                self._connection.do_handshake()
        except Exception:
            self.close()  # paho leaves that to the collection of garbage
            raise
        self.shaken = True

    def close(self) -> None:
        """As of a socket; what it did not take is lost."""
        self._unsent = b""
        self._connection.close()


class Wires:
    """What paho takes for an SSL context: it wraps each new connection into a `Wire`.

    Args:
        settings: Which layers a connection has.
        framing: Makes the framing of the next connection.

    `newest` is the wire of the newest connection, None until there is one.
    """

    check_hostname = True
    """Of a TLS context it is; this keeps paho from doing the same again."""

    def __init__(self, settings: TransportSettings, framing: Callable[[], Framing]) -> None:
        self._settings = settings
        self._framing = framing
        self.newest: Wire | None = None

    def wrap_socket(self, sock: socket.socket, server_hostname: str, **_options: object) -> Wire:
        """Wrap a connected socket; paho then shakes hands."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # acknowledgements do not wait for company
        try:
            connection = layered(self._settings, sock, server_hostname)
        except Exception:
            sock.close()
            raise
        self.newest = Wire(connection, self._framing())
        return self.newest

    def explain(self, error: Exception) -> Failure:
        """Say why the newest attempt to connect failed; `error` is what it ended with."""
        wire = self.newest
        if wire is None:
            return explain(error, self._settings, Stage.TCP)
        stage = Stage.MQTT if wire.shaken else Stage.HANDSHAKE
        return explain(wire.error or error, self._settings, stage, wire.first)
