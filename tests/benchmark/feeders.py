"""How the subscribers of `ingest.py` are fed: through mosquitto, or by a stub that is no limit to them."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import NamedTuple, Protocol

from tests.benchmark.packets import SYS_INTERVAL, Link, Publisher, Stub
from tests.benchmark.processes import bytes_under_way, cpu_s, wait_until_done
from tests.support.mosquitto import Mosquitto, wait_until


class Took(NamedTuple):
    """What it took a subscriber to take a block in: seconds, its own CPU seconds, the broker's."""

    wall_s: float
    cpu_s: float
    broker_s: float


class Feeder(Protocol):
    """Feeds subscribers that connect to a port of this machine."""

    port: int

    def join(self, site: str) -> Link:
        """Return what feeds the newest subscriber, that to a site's topics, once it has subscribed."""

    def feed(self, link: Link, pid: int, block: bytes, acknowledged: int) -> Took:
        """Let a stopped subscriber go on, send it a block, and stop it when it has nothing more to do.

        Args:
            link: From `join`.
            pid: The subscriber.
            block: PUBLISH packets.
            acknowledged: How many of them are to be.
        """

    def problems(self) -> list[str]:
        """Say what was lost on the way."""

    def stop(self) -> None:
        """End what was started."""


class ThroughMosquitto:
    """A real broker, which has all of a block before the subscriber goes on."""

    def __init__(self, directory: Path) -> None:
        options = (SYS_INTERVAL, "log_type subscribe", "log_type error", "log_type warning")
        self._broker = Mosquitto(directory, options=options, verbose=False)
        self._broker.start()
        self.port = self._broker.port
        self._publisher = Publisher(self.port)

    def stop(self) -> None:
        self._publisher.close()
        self._broker.stop()

    def join(self, site: str) -> Publisher:
        wait_until(lambda: f" {site}/" in self._broker.log)
        # The broker tells before the subscriber has its answer; stopped now, it would leave that unread.
        wait_until_done((self._broker.pid,), self.port, self._publisher.attend)
        return self._publisher

    def feed(self, link: Link, pid: int, block: bytes, acknowledged: int) -> Took:
        expected = link.acknowledged + acknowledged
        link.send(block)
        link.wait_for(lambda: link.acknowledged == expected)
        self._publisher.barrier()
        before = Took(time.monotonic(), cpu_s(pid), cpu_s(self._broker.pid))
        os.kill(pid, signal.SIGCONT)
        done_s, used_s = wait_until_done((pid, self._broker.pid), self.port, link.attend)
        os.kill(pid, signal.SIGSTOP)
        return Took(done_s - before[0], used_s - before[1], cpu_s(self._broker.pid) - before[2])

    def problems(self) -> list[str]:
        dropped = self._publisher.dropped()
        return [f"mosquitto dropped {dropped} messages"] if dropped else []


class Direct:
    """No broker: the bytes come in pieces as large as the kernel lets them be."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def stop(self) -> None:
        self._listener.close()

    def join(self, site: str) -> Stub:
        stub = Stub(self._listener)
        stub.wait_for(lambda: stub.subscribed and bytes_under_way(self.port) == 0)
        return stub

    def feed(self, link: Link, pid: int, block: bytes, acknowledged: int) -> Took:
        expected = link.acknowledged + acknowledged
        before = Took(time.monotonic(), cpu_s(pid), 0.0)
        os.kill(pid, signal.SIGCONT)
        link.send(block)
        link.wait_for(lambda: link.acknowledged == expected)
        done_s, used_s = wait_until_done((pid,), self.port, link.attend)
        os.kill(pid, signal.SIGSTOP)
        return Took(done_s - before[0], used_s - before[1], 0.0)

    def problems(self) -> list[str]:
        return []
