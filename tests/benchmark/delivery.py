"""Does a message that the broker has taken ever get lost? A drill with a broker and a recorder that die.

    python -m tests.benchmark.delivery [--messages 1000000]

A publisher sends numbered messages with QoS 1 to a mosquitto that keeps its state on the disk. Meanwhile the
broker is stopped and started twice, and the subscriber killed with -9 twice; both come back at once. Then

    record --raw   every number has to be on the disk, and each copy beyond the first is known as one: the
                   broker says that it sent it before, or the publisher, which lost its broker, that it did
    run            every message that was received is counted as samples, or under a reason

It prints what came how often, and ends with 1 where a number is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from detector.edge.capture import Skip, read_capture
from tests.support.daemon import Daemon
from tests.support.mosquitto import Mosquitto, free_port, wait_until

TOPIC = b"telegraf/leaf1/numbers"
BATCH = 500
"""Messages that the publisher has on their way at a time."""
IDLE_S = 60.0
"""Without another message for so long, what is missing is lost."""
SETTINGS = """\
[mqtt]
host = "127.0.0.1"
port = {broker}
qos = 1
persistent = true
client_id = "drill"
reconnect_max_s = 1
protocol = "{protocol}"
[http]
port = {http}
[record]
directory = "{directory}/recordings"
[[streams]]
name = "numbers"
topic = "telegraf/{{device}}/numbers"
format = "json"
entity = ["device"]
step_s = 1.0
overload = "block"
[streams.signals]
number = {{}}
"""


class Publisher(threading.Thread):
    """Publishes the numbers 0 to `count` with QoS 1, each until the broker has the word for it.

    `resent` are the numbers that were sent a second time, because their acknowledgement got lost.
    """

    def __init__(self, port: int, count: int) -> None:
        super().__init__(name="publisher", daemon=True)
        self._port = port
        self._count = count
        self.acknowledged = 0
        self.resent: set[int] = set()

    def run(self) -> None:
        """Publish until all is acknowledged."""
        while self.acknowledged < self._count:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self._port), 5) as broker,
            ):
                broker.sendall(b"\x10\x15\x00\x04MQTT\x04\x02\x00\x3c\x00\x09publisher")
                if _receive(broker, 4)[3] == 0:
                    self._publish(broker)
            time.sleep(0.05)

    def _publish(self, broker: socket.socket) -> None:
        while self.acknowledged < self._count:
            first, last = self.acknowledged, min(self.acknowledged + BATCH, self._count)
            data = b"".join(_packet(number, number - first + 1) for number in range(first, last))
            done = False
            try:
                broker.sendall(data)
                _receive(broker, 4 * (last - first))
                done = True
            finally:
                if not done:
                    self.resent.update(range(first, last))
            self.acknowledged = last


def _packet(number: int, packet_id: int) -> bytes:
    payload = b'{"number":%d,"time":%.6f}' % (number, time.time())
    body = len(TOPIC).to_bytes(2, "big") + TOPIC + packet_id.to_bytes(2, "big") + payload
    return b"\x32" + bytes([len(body)]) + body


def _receive(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ConnectionError("the broker has gone")
        data += part
    return data


class Subject:
    """The subscriber under test, which is killed and comes back."""

    def __init__(self, directory: Path, verb: str, broker: int, protocol: str) -> None:
        self._directory = directory
        self._verb = verb
        self._config = directory / "detector.toml"
        text = SETTINGS.format(broker=broker, http=free_port(), directory=directory, protocol=protocol)
        self._config.write_text(text)
        self.daemon: Daemon | None = None

    def start(self) -> None:
        """Start it, and return when it is subscribed."""
        raw = ["--raw"] if self._verb == "record" else []
        command = [sys.executable, "-m", "detector.cli", self._verb, "--config", str(self._config), *raw]
        log = self._directory / "log"
        with log.open("ab") as file:
            self.daemon = Daemon(subprocess.Popen(command, stderr=file, cwd=self._directory), log)

    def kill(self) -> None:
        """End it as the kernel does when memory runs out."""
        assert self.daemon is not None
        self.daemon.process.send_signal(signal.SIGKILL)
        self.daemon.process.wait()

    def stop(self) -> None:
        """End it as the service manager does."""
        assert self.daemon is not None
        self.daemon.process.terminate()
        self.daemon.process.wait(60)


def on_disk(directory: Path) -> tuple[Counter[int], Counter[int], Counter[Skip]]:
    """Return how often each number is recorded, how often as sent before, and the lines that are none."""
    numbers: Counter[int] = Counter()
    repeated: Counter[int] = Counter()
    skipped: Counter[Skip] = Counter()
    for path in sorted((directory / "recordings").rglob("*.ndjson")):
        for message in read_capture(path, skipped):
            number = json.loads(message.payload)["number"]
            numbers[number] += 1
            repeated[number] += message.duplicate
    return numbers, repeated, skipped


def disturb(publisher: Publisher, broker: Mosquitto, subject: Subject, count: int, *, kills: int) -> None:
    """Stop the broker twice and kill the subscriber, at moments spread over the run."""
    dice = random.Random(7)
    events = ["broker", "broker", *["subject"] * kills]
    dice.shuffle(events)
    for turn, event in enumerate(events):
        at = count * (turn + 1) // (len(events) + 1)
        wait_until(lambda at=at: publisher.acknowledged >= at, 3600)
        print(f"  {publisher.acknowledged:>8} published: the {event} dies", flush=True)
        if event == "broker":
            broker.stop()
            broker.start()
        else:
            subject.kill()
            subject.start()


def record(directory: Path, count: int, protocol: str) -> bool:
    """Run the drill on the recorder; return whether nothing is missing."""
    broker = _broker(directory)
    subject = Subject(directory, "record", broker.port, protocol)
    broker.start()
    try:
        subject.start()
        assert subject.daemon is not None
        subject.daemon.wait_until_ready()
        publisher = Publisher(broker.port, count)
        begun_s = time.monotonic()
        publisher.start()
        disturb(publisher, broker, subject, count, kills=2)
        publisher.join()
        _wait_until_quiet(directory / "recordings", count)
        took_s = time.monotonic() - begun_s
        subject.stop()
    finally:
        broker.stop()
    numbers, repeated, skipped = on_disk(directory)
    missing = sorted(set(range(count)) - numbers.keys())
    copies = {number: times for number, times in numbers.items() if times > 1}
    unknown = [
        number
        for number, times in copies.items()
        if times - 1 > repeated[number] + (number in publisher.resent)
    ]
    print(
        f"record --raw, MQTT {protocol}: {count} published in {took_s:.0f} s, {len(numbers)} on the disk, "
        f"{len(missing)} missing {missing[:5]}, {sum(copies.values()) - len(copies)} copies, of which "
        f"{len(unknown)} are not known as such, {dict(skipped) or 'no'} broken lines"
    )
    return not missing and not unknown


def run(directory: Path, count: int, protocol: str) -> bool:
    """Run the drill on the daemon, which is not killed; return whether what it received is accounted for."""
    broker = _broker(directory)
    subject = Subject(directory, "run", broker.port, protocol)
    broker.start()
    try:
        subject.start()
        daemon = subject.daemon
        assert daemon is not None
        daemon.wait_until_ready()
        publisher = Publisher(broker.port, count)
        publisher.start()
        disturb(publisher, broker, subject, count, kills=0)
        publisher.join()
        wait_until(lambda: (daemon.total("detector_messages_received_total") or 0) >= count, 600)
        wait_until(lambda: _accounted(daemon) == daemon.total("detector_messages_received_total"), 60)
        received, accounted = daemon.total("detector_messages_received_total"), _accounted(daemon)
        print(
            f"run, MQTT {protocol}: {count} published, {received:.0f} received, {accounted:.0f} counted:"
            f" {daemon.total('detector_samples_total'):.0f} samples, of them late "
            f"{daemon.total('detector_samples_dropped_total', reason='late'):.0f}, duplicate "
            f"{daemon.total('detector_samples_dropped_total', reason='duplicate'):.0f}"
        )
        subject.stop()
    finally:
        broker.stop()
    return received == accounted and received >= count


def _accounted(daemon: Daemon) -> float:
    """Messages that became a sample (each has one), or were refused; the late are samples too."""
    refused = [
        daemon.total("detector_samples_dropped_total", reason=reason) or 0.0
        for reason in ("time_future", "time_old", "entities_max")
    ]
    dropped = daemon.total("detector_messages_dropped_total") or 0.0
    return (daemon.total("detector_samples_total") or 0.0) + dropped + sum(refused)


def _broker(directory: Path) -> Mosquitto:
    return Mosquitto(
        directory,
        options=(
            "persistence true",
            f"persistence_location {directory}/",
            "autosave_interval 1800",
            "log_type error",
        ),
    )


def _wait_until_quiet(recordings: Path, count: int) -> None:
    """Wait until the lines on the disk are as many as were published, or until no more come."""
    lines, changed_s = 0, time.monotonic()
    while time.monotonic() - changed_s < IDLE_S:
        now = sum(path.read_bytes().count(b"\n") for path in recordings.rglob("*.ndjson"))
        if now != lines:
            lines, changed_s = now, time.monotonic()
        elif lines >= count and time.monotonic() - changed_s > 5:
            return
        time.sleep(1.0)


def main() -> int:
    """Run both drills with both versions of the protocol."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--protocol", choices=["3.1.1", "5"], default="3.1.1")
    parser.add_argument("--drill", choices=["record", "run", "both"], default="both")
    asked = parser.parse_args()
    good = True
    for drill in (record, run):
        if asked.drill in (drill.__name__, "both"):
            with tempfile.TemporaryDirectory() as directory:
                good = drill(Path(directory), asked.messages, asked.protocol) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
