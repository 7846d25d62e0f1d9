"""A real mosquitto for a test: on a free port, restartable on that port, mortal."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.programs import program

READY_S = 10.0
STOP_S = 5.0


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(fact: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Return as soon as a fact holds; fail when it does not in a time that is far beyond any honest one."""
    deadline_s = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline_s, f"did not become true within {timeout_s:g} s"
        time.sleep(0.01)


class Mosquitto:
    """One broker on one port; `start`, `stop` and `kill` as often as a test likes.

    Args:
        directory: Where its files go.
        credentials: User name and password that clients must give; none means anonymous.
        port: The port; 0 picks a free one.
        options: Further lines of mosquitto.conf.
        verbose: Log every packet, which costs more than to deliver it.
        environment: Further variables of its environment.
    """

    def __init__(
        self,
        directory: Path,
        credentials: tuple[str, str] | None = None,
        port: int = 0,
        options: tuple[str, ...] = (),
        *,
        verbose: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.program = program("mosquitto")
        self.port = port or free_port()
        self._directory = directory
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        lines = [
            f"listener {self.port} 127.0.0.1",
            "persistence false",
            f"allow_anonymous {'false' if credentials else 'true'}",
            "max_queued_messages 0",
            "max_inflight_messages 0",
            *options,
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # or it becomes a user that cannot read the test's directory
        if credentials:
            password_file = directory / "passwords"
            password_file.touch(mode=0o600)
            passwd = program("mosquitto_passwd")
            subprocess.run([passwd, "-b", password_file, *credentials], check=True, capture_output=True)
            lines.append(f"password_file {password_file}")
        self._words = ["-v"] if verbose else []
        self._config = directory / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")

    @property
    def log(self) -> str:
        """What the broker has said, over all of its lives."""
        return (self._directory / "mosquitto.log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Run, and return once it accepts connections."""
        with (self._directory / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.program, *self._words, "-c", str(self._config)],
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment},
            )
        wait_until(self._accepts, READY_S)

    def stop(self) -> None:
        """Terminate, wait, and if that is of no use kill."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it without a goodbye, as `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def _accepts(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"mosquitto ended: {self.log}"
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


def websocket_options(*more: str, plain: int = 0) -> tuple[str, ...]:
    """Return the lines of mosquitto.conf that make its listener one for WebSocket.

    Args:
        more: Further lines of that listener.
        plain: The port of a plain one beside it; without, mosquitto 2.0.11 believes that it has none.
    """
    return ("protocol websockets", *more, f"listener {plain or free_port()} 127.0.0.1")


@contextmanager
def running_mosquitto(
    directory: Path, credentials: tuple[str, str] | None = None, options: tuple[str, ...] = ()
) -> Iterator[Mosquitto]:
    """A started broker that is gone afterwards."""
    broker = Mosquitto(directory, credentials, options=options)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
