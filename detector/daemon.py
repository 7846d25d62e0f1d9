"""The life of the daemon: start, loop, stop.

    start   settings and manifests are checked (milliseconds) -> HTTP answers -> networks load (seconds)
            -> the broker is called, and called again until it answers
    loop    take messages -> feed -> tick when a step is due -> a new snapshot
    stop    SIGTERM or SIGINT: no more messages, what has arrived is taken in, exit 0; a second one forces

Three threads: `mqtt` fills the inbox, `http` reads the newest snapshot, this one owns the pipeline.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from prometheus_client import CollectorRegistry

from detector import __version__, secret_files
from detector.alarms import Alarms
from detector.caution import cautions
from detector.edge import systemd
from detector.edge.http import HttpServer
from detector.edge.metrics import Durations, register
from detector.edge.mqtt import Subscriber
from detector.edge.snapshot import (
    BundleSnapshot,
    Snapshot,
    StreamSnapshot,
    refused_examples,
    stream_snapshot,
)
from detector.edge.snapshot_mqtt import MqttSnapshot
from detector.event_settings import EventSettings
from detector.journal import Hearing, Kinds, Refusals
from detector.journal_bundles import Upkeep
from detector.logs import say
from detector.maintenance_settings import switches
from detector.model import bundle, runtime
from detector.model.bundle import Bundle
from detector.planner import Planner
from detector.recorders import Recorders
from detector.settings import Settings, SettingsError, password
from detector.stream.bench import Judge
from detector.stream.nouns import Bools, Doubles, Floats, Message, Outcome, Reconstruct
from detector.stream.pipeline import StreamPipeline
from detector.stream.streams import Streams
from detector.stream_settings import StreamSettings
from detector.subscriptions import subscriptions

LOG = logging.getLogger("detector.daemon")

MESSAGES_MAX = 5_000
"""Messages a turn of the loop: some 50 ms of decoding, so that ticks and signals are not kept waiting."""
IDLE_S = 0.25
"""How long a turn waits for the first message; bounds how late a tick or a signal is noticed."""
SNAPSHOT_S = 1.0
"""How old the snapshot may be where no step closes; scrapes are seconds apart."""
FORCED = 1


class Daemon:
    """One process of `detector run` or `detector record`.

    Raises:
        SettingsError: No stream is defined, or a secret or a calendar cannot be read.
        BundleError: A bundle is missing, altered, or not what the settings say.
    """

    def __init__(self, settings: Settings, *, recording: bool = False) -> None:
        if not settings.streams:
            raise SettingsError("streams: none is defined")
        self._settings = settings
        for line in cautions(settings, time.time()):
            say(LOG, "caution", logging.WARNING, what=line)
        if names := secret_files.used_credentials(dict(settings.mqtt).values()):
            say(LOG, "credentials", used=", ".join(names))
        self._maintenance = [] if recording else settings.maintenance
        self._planner = Planner(self._maintenance)
        keys = settings.bundles.public_key_file
        self._bundles = [None if recording else _open_bundle(stream, keys) for stream in settings.streams]
        # Who records beside one that runs with the same settings would speak for it.
        labels = {one.name: len(one.entity) for one in settings.streams}
        self._alarms = Alarms(EventSettings() if recording else settings.events, labels)
        self._subscriber = Subscriber(
            settings.mqtt,
            password(settings.mqtt),
            subscriptions(settings.streams, self._maintenance),
            outbox=self._alarms.outbox,
        )
        self._recorders = Recorders(settings) if recording else None
        self._registry = CollectorRegistry()
        self._snapshot = Snapshot(time.time(), ("the networks are loading",))
        self._durations: Durations = register(self._registry, lambda: self._snapshot)
        self._streams = Streams([])
        self._stopping = False
        self._sign_of_life_s = 0.0
        self._status = ""
        self._hearing = Hearing([one.definition() for one in settings.streams], time.monotonic())
        self._unwritten: list[Message] = []
        self._refusals = Refusals()
        self._kinds = Kinds()
        self._upkeep = Upkeep()

    # Life

    def run(self) -> int:
        """Live until a signal comes; return the exit code."""
        with self._signals(), self._http():
            self._load()
            self._subscriber.start()
            systemd.notify(READY="1")
            # The service manager may go on, the operator not yet: what is missing comes with its own lines.
            missing = "; ".join(_missing(self._subscriber.snapshot())) or "nothing"
            say(LOG, "started", version=__version__, streams=len(self._settings.streams), missing=missing)
            try:
                self._loop()
            finally:
                systemd.notify(STOPPING="1")
                self._subscriber.stop_reading()
                self._drain()
                self._subscriber.publish_retained(self._alarms.stop())
                self._subscriber.take_leave()
                self._subscriber.stop()
        say(LOG, "stopped")
        return 0

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(number: int, _frame: FrameType | None) -> None:
            if self._stopping:
                os._exit(FORCED)
            self._stopping = True
            say(LOG, "stopping", signal=signal.Signals(number).name)

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def _http(self) -> Iterator[None]:
        settings = self._settings.http
        with HttpServer(settings.host, settings.port, lambda: self._snapshot, self._registry) as server:
            say(LOG, "listening", host=settings.host, port=server.port)
            yield

    def _load(self) -> None:
        streams = []
        for stream, loaded in zip(self._settings.streams, self._bundles, strict=True):
            definition = stream.definition()
            judge = None if loaded is None else self._timed(runtime.load_judge(loaded))
            streams.append(StreamPipeline(definition, judge, self._planner.maintenances_of(definition)))
            version = loaded.version if loaded else "none"
            say(LOG, "stream", name=stream.name, filter=",".join(stream.subscriptions), bundle=version)
        self._streams = Streams(streams, switches(self._maintenance))
        self._alarms.begin(streams)

    def _timed(self, judge: Judge) -> Judge:
        inner = judge.reconstruct

        def timed(value: Floats, seen: Bools, end_s: Doubles) -> Floats:
            with self._durations.inference.time():
                return inner(value, seen, end_s)

        reconstruct: Reconstruct = timed
        return Judge(reconstruct, judge.calibration)

    def _loop(self) -> None:
        while not self._stopping:
            self._turn(IDLE_S)

    def _drain(self) -> None:
        """Take in what had arrived, and close what is due, before the end."""
        while self._turn(0.0):
            pass
        if self._unwritten:
            say(LOG, "messages not recorded", logging.ERROR, messages=len(self._unwritten))
        if self._recorders:
            self._recorders.close()

    def _take(self, wait_s: float) -> list[Message]:
        """Return what has arrived and, where messages are recorded as they come, is on the disk."""
        messages = self._unwritten or self._subscriber.take(MESSAGES_MAX, wait_s)
        if self._recorders is None or self._recorders.write(messages):
            self._unwritten = []
            return messages
        self._unwritten = messages
        time.sleep(wait_s)  # or a disk that is full would be asked without end
        return []

    def _turn(self, wait_s: float) -> int:
        messages = self._take(wait_s)
        self._streams.feed(messages)
        self._subscriber.acknowledge(messages)
        self._subscriber.publish(self._streams.replies())
        now_s = time.time()
        self._planner.look(time.monotonic())
        self._planner.keep(self._streams.streams, now_s)
        if self._streams.due(now_s):
            with self._durations.tick.time():
                for stream, outcome in self._streams.tick(now_s):
                    self._tell(stream, outcome)
                self._subscriber.publish_retained(self._alarms.forget())
            self._take_snapshot()
        elif now_s - self._snapshot.time_s > SNAPSHOT_S:
            self._take_snapshot()
        if self._recorders:
            self._recorders.flush()
        return len(messages)

    # What comes out

    def _tell(self, stream: StreamPipeline, outcome: Outcome) -> None:
        definition = stream.definition
        if definition.clock == "wall" and outcome.scores is not None:
            self._durations.score_latency.observe(time.time() - outcome.time_s)
        if self._recorders:
            self._recorders.add(stream, outcome)
        self._subscriber.publish_retained(self._alarms.take(stream, outcome))

    def _take_snapshot(self) -> None:
        mqtt, streams = self._subscriber.snapshot(), tuple(self._stream_snapshots())
        self._subscriber.publish_retained(self._alarms.look(mqtt))
        dropped = Counter(self._subscriber.dropped()) + self._streams.messages_dropped
        self._snapshot = Snapshot(
            time_s=time.time(),
            missing=tuple(_missing(mqtt)),
            mqtt=mqtt,
            replies_dropped_total=self._streams.replies_dropped_total,
            messages_dropped={reason.value: count for reason, count in dropped.items()},
            examples=self._subscriber.examples() | refused_examples(self._streams),
            streams=streams,
            groups=self._alarms.groups(),
            events=self._alarms.events(),
            recordings=self._recorders.snapshot() if self._recorders else None,
            calendar_errors=self._planner.errors,
        )
        self._listen(mqtt, self._snapshot.time_s)
        self._tell_status()
        self._hearing.watch(self._snapshot, time.monotonic())
        self._refusals.watch(self._snapshot, time.monotonic())
        self._kinds.watch(self._snapshot)
        self._upkeep.watch(self._snapshot)
        self._give_sign_of_life()

    def _stream_snapshots(self) -> Iterator[StreamSnapshot]:
        for stream, loaded in zip(self._streams.streams, self._bundles, strict=True):
            yield stream_snapshot(stream, None if loaded is None else _facts(loaded))

    def _listen(self, mqtt: MqttSnapshot, now_s: float) -> None:
        """Tell each stream whether what is published reaches us."""
        for stream, settings in zip(self._streams.streams, self._settings.streams, strict=True):
            stream.listen(mqtt.hears(settings.subscriptions), now_s)

    def _tell_status(self) -> None:
        """Tell the service manager what is missing, when that changes; with or without a watchdog."""
        status = "; ".join(self._snapshot.missing) or "running"
        if status != self._status:
            self._status = status
            systemd.notify(STATUS=status)

    def _give_sign_of_life(self) -> None:
        """Feed the watchdog from the pipeline's own progress: an idle thread would feed it for a dead one."""
        every_s = systemd.watchdog_s()
        if every_s is not None and time.monotonic() - self._sign_of_life_s >= min(every_s, 5.0):
            self._sign_of_life_s = time.monotonic()
            systemd.notify(WATCHDOG="1")


def _open_bundle(stream: StreamSettings, keys: Path | None) -> Bundle | None:
    return None if stream.bundle is None else bundle.load_for(stream.definition(), stream.bundle, keys)


def _facts(loaded: Bundle) -> BundleSnapshot:
    manifest = loaded.manifest
    return BundleSnapshot(loaded.version, str(manifest["architecture"]), float(manifest["trained_s"]))


def _missing(mqtt: MqttSnapshot) -> Sequence[str]:
    if not mqtt.thread_alive:
        return ["the network thread has died"]
    if not mqtt.connected:
        return [f"the broker is not connected{mqtt.failure and ': '}{mqtt.failure}"]
    if not mqtt.subscribed:
        return ["the subscription is not granted"]
    return [f"the broker grants {text} and does not serve it" for text in mqtt.unserved]
