"""A server for one conversation, which says what a broker would not: bytes, TLS with a fault, or nothing."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TIMEOUT_S = 10.0


@contextmanager
def serving(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Let `talk` have each connection in turn, until the end; give the port. Its errors are the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, talk))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()


def _serve(listener: socket.socket, talk: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.settimeout(TIMEOUT_S)
        with connection, contextlib.suppress(OSError):
            talk(connection)


def saying(data: bytes) -> Callable[[socket.socket], None]:
    """Return what says some bytes as soon as it has heard anything, and hangs up."""

    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):  # else unread data make the end a reset
            pass

    return talk


def speaking_tls(
    context: ssl.SSLContext, then: Callable[[ssl.SSLSocket], None] = lambda connection: None
) -> Callable[[socket.socket], None]:
    """Return what shakes hands as a server, and goes on within TLS."""

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as inner:
            inner.recv(1)  # with TLS 1.3 the client is done before the server has seen its certificate
            then(inner)

    return talk
