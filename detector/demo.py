"""`detector demo`: the whole product at work on a simulated fabric, with the commands that a user would type.

History is simulated, a network trained on it for each stream, a broker and the daemon are started, and
the fabric goes on live, at a multiple of real time, with one fault of every kind and the bait that is none.
In the end stands what was injected, what was found, after how long, and which alarms were false.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from detector.edge.broker import demo_broker
from detector.edge.publisher import publish_messages
from detector.evaluate.events import Episode, Event, Verdict, judge
from detector.simulate.fabric import Simulation, simulate
from detector.simulate.output import messages, stream_settings, write
from detector.simulate.scenario import Scenario
from detector.stream.nouns import Alarm

TRAIN_S = 12 * 3600.0
LIVE_S = 75 * 60.0
STEP_S = 10.0
WINDOW_STEPS = 60
SPEED = 60.0
EPOCHS = 12
ROWS = 10
STREAMS = ("interfaces", "devices")
MUST_FIND = ("interface_down", "bgp_clear", "silent_device")
KINDS_MIN = 6
START_MAX_S = 60.0


def demo(directory: Path, seed: int, port: int) -> int:
    """Run it in a directory, which is made anew; return the exit code.

    0 only if six of the eight kinds of fault were found, a link that went down, a BGP clear and a silent
    device among them, and no bait raised an alarm.
    """
    console = Console()
    if directory.exists():
        shutil.rmtree(directory)
    console.rule("1. A simulated fabric, and twelve hours of its history")
    # Midnight, so that the same seed meets the same hours of the day and tells the same story.
    start_s = float(int(time.time() / 86400.0) - 1) * 86400.0
    scenario = Scenario(
        seed=seed, start_s=start_s, train_s=TRAIN_S, duration_s=TRAIN_S + LIVE_S, plan="each-kind-once"
    )
    simulation = simulate(scenario)
    write(simulation, directory)
    config = directory / "detector.toml"
    config.write_text(stream_settings(directory, STEP_S, WINDOW_STEPS), "utf-8")
    console.print(f"{directory}/: interfaces.parquet, devices.parquet, labels.csv, detector.toml")
    console.rule("2. A network for each stream, trained on that history")
    for stream in STREAMS:
        _train(console, directory, config, stream)
    console.rule("3. A broker, the daemon, and the fabric live")
    with demo_broker() as broker, _daemon(directory, config, broker, port) as daemon:
        watched = _watch(console, simulation, broker, port, daemon)
    events = _events(simulation)
    found, false = judge(events, watched.episodes(directory / "detector.log"))
    console.rule("4. What was injected, and what was found")
    _report(console, found, false)
    return 0 if _good(found) else 1


def _command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "detector.cli", *map(str, words)]


def _train(console: Console, directory: Path, config: Path, stream: str) -> None:
    words: list[str | Path] = [
        "train",
        directory / f"{stream}.parquet",
        "--config",
        config,
        "--stream",
        stream,
    ]
    words += ["--out", directory / "bundles" / stream, "--architecture", "conv1d", "--epochs", str(EPOCHS)]
    console.print(f"[bold]$ detector {' '.join(map(str, words))}[/bold]", highlight=False, soft_wrap=True)
    subprocess.run(_command(*words), check=True)  # noqa: S603 -- our own program


@contextlib.contextmanager
def _daemon(directory: Path, config: Path, broker: int, port: int) -> Iterator[subprocess.Popen[bytes]]:
    words: list[str | Path] = [
        "run",
        "--config",
        config,
        "--mqtt.port",
        str(broker),
        "--http.port",
        str(port),
    ]
    with (directory / "detector.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 -- our own program
            _command(*words, "--log.format", "json"), stderr=log, stdout=log
        )
        try:
            _wait_ready(process, port)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_ready(process: subprocess.Popen[bytes], port: int) -> None:
    until_s = time.monotonic() + START_MAX_S
    while time.monotonic() < until_s and process.poll() is None:
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2).status == 200:  # noqa: PLR2004
                return
        time.sleep(0.2)
    raise OSError("the daemon did not become ready; see detector.log")


@dataclass(slots=True)
class Watched:
    """What the pages of the daemon showed while the fabric ran."""

    silent: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[float, float, float]] = field(
        default_factory=dict
    )
    now_s: float = 0.0

    def look(self, entities: list[dict[str, Any]]) -> None:
        """Note who is silent, and what time the data says it is."""
        self.now_s = max([self.now_s, *(one["last_sample_s"] or 0.0 for one in entities)])
        for one in entities:
            if one["state"] == "silent":
                key = one["stream"], tuple(one["labels"].items())
                since_s, told_s, _ = self.silent.get(key, (one["last_sample_s"], self.now_s, 0.0))
                self.silent[key] = since_s, told_s, self.now_s

    def episodes(self, log: Path) -> list[Episode]:
        """Return every alarm: the episodes of the daemon's log, and the spells of silence seen."""
        silences = [
            Episode(stream, dict(labels), since_s, until_s, told_s, what=Alarm.SILENCE)
            for (stream, labels), (since_s, told_s, until_s) in self.silent.items()
        ]
        return silences + list(_logged(log, self.now_s))


def _logged(log: Path, now_s: float) -> Iterator[Episode]:
    opened: dict[tuple[str, str], Mapping[str, Any]] = {}
    for line in log.read_bytes().splitlines():
        if not line.startswith(b"{"):  # TensorFlow talks, too
            continue
        fact = orjson.loads(line)
        if fact["event"] not in ("anomaly", "anomaly over"):
            continue
        key = fact["stream"], f"{fact['device']} {fact.get('interface', '')}"
        if fact["event"] == "anomaly":
            opened[key] = fact
        else:
            yield _episode(opened.pop(key), fact["onset_s"] + fact["lasted_s"])
    for fact in opened.values():
        yield _episode(fact, now_s)


def _episode(fact: Mapping[str, Any], end_s: float) -> Episode:
    entity = {name: fact[name] for name in ("device", "interface") if name in fact}
    return Episode(fact["stream"], entity, fact["onset_s"], end_s, fact["at_s"], fact["score"])


def _watch(
    console: Console, simulation: Simulation, broker: int, port: int, daemon: subprocess.Popen[bytes]
) -> Watched:
    scenario = simulation.scenario
    live_s = scenario.start_s + scenario.train_s
    # A window of history first, so that the first fault meets full windows.
    begin_s = live_s - (WINDOW_STEPS + 4) * STEP_S
    late = (one for one in messages(simulation) if one[0] >= begin_s)
    publisher = Thread(
        target=publish_messages, args=(late,), kwargs={"port": broker, "speed": SPEED}, daemon=True
    )
    console.print(f"[bold]$ detector run --config … --mqtt.port {broker}[/bold]", highlight=False)
    console.print(f"Look: http://127.0.0.1:{port}/   Prometheus: http://127.0.0.1:{port}/metrics")
    watched = Watched()
    publisher.start()
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        while publisher.is_alive() and daemon.poll() is None:
            entities = _entities(port)
            watched.look(entities)
            live.update(_screen(entities, watched.now_s, scenario, live_s))
            time.sleep(0.5)
    if daemon.poll() is not None:
        raise OSError("the daemon ended; see detector.log")
    time.sleep(1.0)  # what is in the inbox
    watched.look(_entities(port))
    return watched


def _entities(port: int) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/entities", timeout=10) as answer:
        entities: list[dict[str, Any]] = orjson.loads(answer.read())["entities"]
    return entities


def _screen(entities: list[dict[str, Any]], now_s: float, scenario: Scenario, live_s: float) -> Group:
    done = min(max((now_s - live_s) / (scenario.end_s - live_s), 0.0), 1.0)
    minutes = max(now_s - live_s, 0.0) / 60
    head = Text(f"minute {minutes:.0f} of {LIVE_S / 60:.0f} at x{SPEED:.0f}  " + "█" * round(40 * done))
    table = Table("entity", "score", "state", "why", expand=True)
    silent = [one for one in entities if one["state"] == "silent"]
    shown = sorted(silent, key=lambda one: len(one["labels"]))[:3] + [one for one in entities if one["score"]]
    for one in shown[:ROWS]:
        state = "ANOMALOUS" if one["active"] else one["state"]
        style = "bold red" if one["active"] else "yellow" if state == "silent" else ""
        score = "" if one["score"] is None else f"{one['score']:.2f}"
        table.add_row(" ".join(one["labels"].values()), score, state, _why(one), style=style)
    return Group(head, table)


def _why(one: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{signal['signal']} {_number(signal['observed'])} (expected {_number(signal['expected'])})"
        for signal in one["signals"][:2]  # the one that contributes most first
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _events(simulation: Simulation) -> list[Event]:
    return [
        Event(
            row["start"],
            row["end"],
            row["event"],
            row["kind"],
            {name: row[name] for name in ("device", "interface") if row[name]},
            tuple(row["signals"].split()),
        )
        for row in simulation.labels.to_pylist()
    ]


def _report(console: Console, verdicts: list[Verdict[Episode]], false: list[Episode]) -> None:
    table = Table("injected", "where", "kind", "found", "after")
    for verdict in verdicts:
        event = verdict.event
        bait = event.kind == "bait"
        found = ("no alarm" if not verdict.found else "ALARM") if bait else ("yes" if verdict.found else "no")
        style = "" if bait != verdict.found else "red"
        after = f"{verdict.delay_s:.0f} s" if verdict.found else ""
        table.add_row(event.event, " ".join(event.entity.values()), event.kind, found, after, style=style)
    console.print(table)
    kinds = len(_found(verdicts, "fault"))
    console.print(f"{kinds} of 8 kinds of fault found; {len(false)} false alarms in {LIVE_S / 60:.0f} min")
    for episode in false:
        entity = " ".join(episode.entity.values())
        console.print(
            f"  false: {entity}, {episode.end_s - episode.start_s:.0f} s, score up to {episode.score_max:.2f}"
        )


def _good(verdicts: list[Verdict[Episode]]) -> bool:
    faults = _found(verdicts, "fault")
    return len(faults) >= KINDS_MIN and set(MUST_FIND) <= faults and not _found(verdicts, "bait")


def _found(verdicts: list[Verdict[Episode]], kind: str) -> set[str]:
    return {verdict.event.event for verdict in verdicts if verdict.found and verdict.event.kind == kind}
