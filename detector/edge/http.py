"""The HTTP edge: `/metrics`, health, a page for people, JSON for scripts.

One daemon thread accepts; each request is answered from the newest snapshot, which is immutable, so
that a scrape neither waits for the pipeline nor holds it up. Requests are not logged.
"""

from __future__ import annotations

import gzip
import logging
import socket
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, NamedTuple, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted

from detector.edge import pages, pages_groups, pages_streams
from detector.edge.snapshot import Snapshot

log = logging.getLogger(__name__)

REQUEST_TIMEOUT_S = 10.0  # for each read and write; a scrape gives up after ten seconds by default
CONNECTIONS_MAX = 64  # some scrapers and people; each has a thread, and a flood must not take them all
GZIP_BYTES_MIN = 1024  # below, it fits a network packet anyway
METHODS = ("GET", "HEAD")
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"
API = {
    "/api/v1/entities": pages.entities_json,
    "/api/v1/groups": pages_groups.groups_json,
    "/api/v1/streams": pages_streams.streams_json,
}


class _Answer(NamedTuple):
    status: HTTPStatus
    content_type: str
    body: bytes


class HttpServer:
    """Answers from construction until `close`, in a thread of its own.

    Args:
        host: The address to listen on, IPv4 or IPv6.
        port: 0 takes a free one; `port` of the object says which.
        read: Returns the newest snapshot, None before the first. Called from other threads.
        registry: What `/metrics` exports.

    Raises:
        OSError: The address is unknown or taken.
    """

    def __init__(
        self, host: str, port: int, read: Callable[[], Snapshot | None], registry: CollectorRegistry
    ) -> None:
        try:
            self._server = _Server(host, port, read, registry)
        except OSError as error:  # which says neither what for nor where
            raise OSError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
        self.host, self.port = self._server.server_address[:2]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening. A request that is being answered may be cut off."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class _Server(ThreadingMixIn, TCPServer):
    # Not http.server.HTTPServer: binding it asks the name service for this machine's name, which can hang.
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, host: str, port: int, read: Callable[[], Snapshot | None], registry: CollectorRegistry
    ) -> None:
        self.read = read
        self.registry = registry
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self.address_family = family
        super().__init__(address[:2], _Handler)  # type: ignore[arg-type]  # IPv6 addresses have four parts

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            request.sendall(b"HTTP/1.0 503 Too many connections\r\n\r\n")
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, *_request: Any) -> None:
        """Log our errors; that a client has gone or stalled is none."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            log.error("http: a request failed", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "detector"
    sys_version = ""
    timeout = REQUEST_TIMEOUT_S

    def do_GET(self) -> None:
        if self.command not in METHODS:
            self._send(_text(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD only"))
            return
        path = self.path.partition("?")[0]
        try:
            answer = self._answer(path)
        except Exception:  # a bug; the thread of a request is no place to die in silence
            log.exception("http: cannot answer %s", path)
            answer = _text(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error, see the log")
        self._send(answer)

    # The library calls a method's name; without one it answers 501 instead of 405.
    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = do_GET  # noqa: N815

    def _answer(self, path: str) -> _Answer:
        match path:
            case "/metrics":
                return self._metrics()
            case "/-/healthy":
                return _text(HTTPStatus.OK, "ok")
            case "/-/ready":
                missing = pages.missing(self.server.read())
                status = HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK
                return _text(status, "\n".join(missing) or "ready")
            case "/":
                return _Answer(HTTPStatus.OK, HTML, pages.page(self.server.read()).encode())
            case "/api/v1/entities" | "/api/v1/groups" | "/api/v1/streams":
                return _Answer(HTTPStatus.OK, JSON, API[path](self.server.read()))
        return _text(HTTPStatus.NOT_FOUND, "not found")

    def _metrics(self) -> _Answer:
        try:
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        except (TypeError, ValueError):  # the library trips over a version that is not a number
            encode, content_type = choose_encoder("")
        return _Answer(HTTPStatus.OK, content_type, encode(self.server.registry))

    def _send(self, answer: _Answer) -> None:
        body = answer.body
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.send_header("X-Content-Type-Options", "nosniff")
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", ", ".join(METHODS))
        if len(body) >= GZIP_BYTES_MIN and gzip_accepted(self.headers.get("Accept-Encoding", "")):
            body = gzip.compress(body, compresslevel=1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Vary", "Accept, Accept-Encoding")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: a scrape every few seconds would be the whole log."""


def _text(status: HTTPStatus, text: str) -> _Answer:
    return _Answer(status, TEXT, f"{text}\n".encode())
