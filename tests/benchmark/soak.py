"""An hour of bad company: does the daemon keep its memory, its pace and its books?

    python -m tests.benchmark.soak [--seconds 3600] [--rate 5000]

Through a real mosquitto, 5,000 messages a second come to `detector run` with its default limits. One in
twenty is garbage, in thirty kinds; a thousand new interfaces a minute run against a cap of 20,000, which is
reached after a sixth of the time.

It prints the resident memory over time and its slope after a third of the time; the longest times for which
the daemon left bytes unread, kept a health check waiting, or was late with closing a step; and the books:

    published = received + what nobody subscribed to
    received  = dropped, by reason + decoded
    samples   = accepted + dropped, by reason

Exit code 1: they do not add up, to the message, or to the reason.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import numpy as np

from detector.settings import load
from detector.stream.nouns import Drop
from tests.benchmark.packets import SIGNALS, SYS_INTERVAL, Publisher
from tests.benchmark.processes import bytes_unread, cpu_s, end_tidily, rss_bytes
from tests.benchmark.soak_messages import Ledger, Publications
from tests.support.daemon import Daemon, running
from tests.support.mosquitto import Mosquitto

TICK_S = 0.1
NEW_A_MINUTE = 1_000
GARBAGE_SHARE = 0.05
OLD_ONES = 500
STEP_S = LATENESS_S = 10.0
UNREAD_LOOK_S, HEALTH_LOOK_S, RSS_LOOK_S, SCRAPE_S = 0.02, 0.5, 1.0, 15.0
SETTLE_S = 60.0

SETTINGS = """
[[streams]]
name = "interfaces"
topic = "soak/{device}/interface"
format = "telegraf-json"
entity = ["device", "ifName"]
step_s = %(step_s)s
lateness_s = %(lateness_s)s
entities_max = %(cap)s
[streams.signals]
%(signals)s
"""
_SERIES = re.compile(r'^detector_(\w+)(?:\{(?:.*?reason="(\w+)")?.*\})? (\S+)$', re.MULTILINE)


class Watch:
    """Looks at the daemon while it is fed: in threads of its own, for one look must not wait for another."""

    def __init__(self, daemon: Daemon, broker: int) -> None:
        self._daemon = daemon
        self._broker = broker
        self._pid = daemon.process.pid
        self._begun_s = time.monotonic()
        self._ended = Event()
        self._unread_since_s: float | None = None
        self.unread_s = 0.0  # the longest time with bytes to read at every look
        self.health_s = 0.0
        self.scrape_s = 0.0
        self.step_late_s = 0.0
        self.inbox_messages = 0.0
        self.rss: list[tuple[float, float]] = []  # (seconds since the start, MB)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look, until the end."""
        looks = (
            (UNREAD_LOOK_S, self._look_at_socket),
            (HEALTH_LOOK_S, self._look_at_health),
            (RSS_LOOK_S, self._look_at_memory),
            (SCRAPE_S, self._look_at_metrics),
        )
        threads = [Thread(target=self._repeat, args=look) for look in looks]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def slope(self, after_s: float) -> tuple[float, float]:
        """Return the slope of the memory after a time, and its standard error, in MB an hour."""
        hours, megabytes = np.array([look for look in self.rss if look[0] >= after_s]).T
        hours = hours / 3600.0
        (slope, _), covariance = np.polyfit(hours, megabytes, 1, cov=True)
        return float(slope), float(np.sqrt(covariance[0, 0]))

    def _repeat(self, every_s: float, look: Callable[[], None]) -> None:
        while not self._ended.wait(every_s):
            look()

    def _look_at_socket(self) -> None:
        now_s = time.monotonic()
        if not bytes_unread(self._broker):
            self._unread_since_s = None
        elif self._unread_since_s is None:
            self._unread_since_s = now_s
        else:
            self.unread_s = max(self.unread_s, now_s - self._unread_since_s)

    def _look_at_health(self) -> None:
        begun_s = time.monotonic()
        assert self._daemon.get("/-/healthy")[0] == 200
        self.health_s = max(self.health_s, time.monotonic() - begun_s)

    def _look_at_memory(self) -> None:
        self.rss.append((time.monotonic() - self._begun_s, rss_bytes(self._pid) / 1e6))

    def _look_at_metrics(self) -> None:
        begun_s = time.monotonic()
        counted = scrape(self._daemon)
        self.scrape_s = max(self.scrape_s, time.monotonic() - begun_s)
        self.inbox_messages = max(self.inbox_messages, counted["inbox_messages", ""])
        at, size = self.rss[-1]
        received = counted["messages_received_total", ""]
        print(f"{at:6.0f} s  {size:7.1f} MB  {received:12,.0f} messages", file=sys.stderr, flush=True)
        if step_s := counted.get(("step_timestamp_seconds", "")):
            # At its best, the newest closed step is as old as the lateness, and a step more before the next.
            self.step_late_s = max(self.step_late_s, time.time() - step_s - LATENESS_S - STEP_S)


def scrape(daemon: Daemon) -> Mapping[tuple[str, str], float]:
    """Return the sum of the series of each name and reason, without the prefix."""
    counted: Counter[tuple[str, str]] = Counter()
    for name, reason, value in _SERIES.findall(daemon.get("/metrics")[1]):
        counted[name, reason or ""] += float(value)
    return counted


def publish(publisher: Publisher, publications: Publications, given: argparse.Namespace) -> float:
    """Publish at the rate, every kind in each tick; return by how much this was late at most."""
    begun_s, late_s = time.time(), 0.0
    a_tick = round(given.rate * TICK_S)
    garbage = round(a_tick * GARBAGE_SHARE)
    newcomers_due = 0.0
    for tick in range(1, round(given.seconds / TICK_S) + 1):
        due_s = begun_s + tick * TICK_S
        late_s = max(late_s, time.time() - due_s)
        time.sleep(max(0.0, due_s - time.time()))
        newcomers_due += NEW_A_MINUTE * TICK_S / 60.0
        newcomers = int(newcomers_due)
        newcomers_due -= newcomers
        time_ms = round(due_s * 1000)
        publisher.send(
            publications.in_turn(a_tick - garbage - newcomers, time_ms)
            + publications.newcomers(newcomers, time_ms)
            + publications.garbage(garbage, time_ms)
        )
    publisher.barrier()
    return late_s


def differences(ledger: Ledger, counted: Mapping[tuple[str, str], float]) -> list[str]:
    """Compare the books; late and repeated samples were accepted first, and are among both."""
    messages = {
        reason: count for (name, reason), count in counted.items() if name == "messages_dropped_total"
    }
    samples = {reason: count for (name, reason), count in counted.items() if name == "samples_dropped_total"}
    after = {reason: samples.pop(reason, 0.0) for reason in (Drop.LATE, Drop.DUPLICATE)}
    received, accepted = counted["messages_received_total", ""], counted["samples_total", ""]
    facts = [
        ("messages received", received, ledger.received),
        ("messages dropped", sum(messages.values()), ledger.dropped.total()),
        ("messages decoded", received - sum(messages.values()), ledger.decoded),
        ("samples accepted", accepted, ledger.samples),
        ("samples dropped", sum(samples.values()), ledger.samples_dropped.total()),
        *((f"  message {reason}", count, ledger.dropped[Drop(reason)]) for reason, count in messages.items()),
        *(
            (f"  sample {reason}", count, ledger.samples_dropped[Drop(reason)])
            for reason, count in samples.items()
        ),
    ]
    for name, count, expected in facts:
        if count or expected:
            print(f"{name:32}{count:14,.0f}{expected:14,}{'' if count == expected else '  DIFFERS'}")
    for reason, count in after.items():
        print(f"{'  of the accepted ' + reason:32}{count:14,.0f}")
    return [name for name, count, expected in facts if count != expected]


def report(watch: Watch, ledger: Ledger, given: argparse.Namespace, late_s: float, used_s: float) -> None:
    """Print what the time did to the daemon."""
    step = max(1, len(watch.rss) // 30)
    print("time s, resident MB: " + "  ".join(f"{at:.0f} {size:.1f}" for at, size in watch.rss[::step]))
    slope, error = watch.slope(given.seconds / 3)
    print(f"slope after {given.seconds / 3:.0f} s: {slope:+.2f} MB/h, standard error {error:.2f}")
    print(
        f"longest: unread bytes {watch.unread_s:.2f} s, health check {watch.health_s:.2f} s, "
        f"scrape {watch.scrape_s:.2f} s, step late {watch.step_late_s:.2f} s; "
        f"inbox at most {watch.inbox_messages:.0f}"
    )
    print(
        f"CPU of the daemon {100 * used_s / given.seconds:.1f} % of a core; "
        f"publisher late by {late_s:.2f} s at most"
    )
    print("published: " + ", ".join(f"{name} {count:,}" for name, count in ledger.kinds.most_common()))


def settle(daemon: Daemon, ledger: Ledger) -> Mapping[tuple[str, str], float]:
    """Return what was counted, once that does not change any more or is all there."""
    deadline_s = time.monotonic() + SETTLE_S
    before: Mapping[tuple[str, str], float] = {}
    while (counted := scrape(daemon))["samples_total", ""] != ledger.samples or counted["inbox_messages", ""]:
        if counted == before or time.monotonic() > deadline_s:
            break
        before = counted
        time.sleep(2.0)
    return counted


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--rate", type=int, default=5_000, help="messages a second")
    parser.add_argument("--cap", type=int, default=20_000, help="entities; much fewer than messages are sent")
    given = parser.parse_args()
    end_tidily()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        broker = Mosquitto(directory, options=(SYS_INTERVAL, "log_type error"), verbose=False)
        broker.start()
        try:
            return soak(directory, broker, given)
        finally:
            broker.stop()


def soak(directory: Path, broker: Mosquitto, given: argparse.Namespace) -> int:
    """Publish, watch, print, compare."""
    signals = "\n".join(f'{signal} = {{ kind = "counter" }}' for signal in SIGNALS)
    words = SETTINGS % {"step_s": STEP_S, "lateness_s": LATENESS_S, "cap": given.cap, "signals": signals}
    (directory / "reference.toml").write_text(words)
    settings = load(directory / "reference.toml")
    # So that the cap is reached after a sixth of the time.
    entities = given.cap - min(given.cap // 2, round(NEW_A_MINUTE * given.seconds / 60 / 6))
    publications = Publications(settings.streams[0].definition(), settings.mqtt.payload_bytes_max, entities)
    publisher = Publisher(broker.port)
    publisher.send(publications.old_ones(OLD_ONES, round(time.time() * 1000)))
    publisher.barrier()
    with running(directory, words, broker=broker.port) as daemon:
        daemon.wait_until_ready()
        watch = Watch(daemon, broker.port)
        before_s = cpu_s(daemon.process.pid)
        with watch.looking():
            late_s = publish(publisher, publications, given)
        used_s = cpu_s(daemon.process.pid) - before_s
        counted = settle(daemon, publications.ledger)
        report(watch, publications.ledger, given, late_s, used_s)
        print(f"log: {len(daemon.log):,} bytes")
    lost = publisher.dropped()
    print(f"{'':32}{'counted':>14}{'sent':>14}")
    wrong = differences(publications.ledger, counted)
    published, received = publications.ledger.published, publications.ledger.received
    print(f"published {published:,} = {received:,} + {published - received:,} that nobody subscribed to")
    print(f"mosquitto dropped {lost}")
    print("THE BOOKS DO NOT ADD UP: " + ", ".join(wrong) if wrong or lost else "the books add up")
    return 1 if wrong or lost else 0


if __name__ == "__main__":
    sys.exit(main())
