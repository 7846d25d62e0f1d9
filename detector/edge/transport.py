"""What MQTT is spoken over: the connected socket, with TLS and WebSocket upon it as the settings want."""

from __future__ import annotations

import socket
import ssl

from detector.edge import tls, websocket
from detector.edge.websocket import WebSocket
from detector.settings import SettingsError
from detector.transport_settings import TransportSettings

Connection = socket.socket | ssl.SSLSocket | WebSocket


def layered(settings: TransportSettings, sock: socket.socket, host: str) -> Connection:
    """Return the connection over a connected socket; hands are not shaken yet.

    All files are read anew, so that a renewed certificate or token is used without a restart.

    Args:
        settings: Which layers.
        sock: Is the connection's from now on, but where this raises.
        host: Whom it is connected to.

    Raises:
        SettingsError: A file cannot be used, or the host cannot be the name of a certificate.
    """
    connection: socket.socket | ssl.SSLSocket = sock
    port = sock.getpeername()[1]
    context = tls.context(settings)
    headers = websocket.headers(settings)
    if context is not None:
        connection = _within_tls(context, settings, sock, host)
    if settings.transport == "tcp":
        return connection
    authority = websocket.authority(host, port, tls=settings.tls)
    return WebSocket(connection, authority, websocket.path(settings), headers)


def _within_tls(
    context: ssl.SSLContext, settings: TransportSettings, sock: socket.socket, host: str
) -> ssl.SSLSocket:
    key, name = "mqtt.tls_server_name", settings.tls_server_name
    if not name:
        key, name = "mqtt.host", host
    try:
        return context.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)
    except ValueError as error:
        raise SettingsError(f"{key}: {name!r} cannot be the name in a certificate ({error})") from None
