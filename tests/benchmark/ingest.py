"""How many messages a second one subscriber takes in, and what a message costs it.

    python -m tests.benchmark.ingest [--direct] [--rounds 5] [--only bare,ours]

Against one mosquitto, in one run and in turns: paho with a callback that only counts; the same with
`json.loads`; mqtt-exporter from PyPI, in a venv that is made once; and the daemon, from the socket to the
filled windows of 10,000 interfaces with four counters each, as Telegraf publishes them.

A turn: mosquitto is given a backlog while the subscriber is stopped, so that it takes nothing in when the
subscriber goes on, until the backlog is gone and nobody has anything to do. Bytes are made beforehand. With
`--direct` a stub sends them instead of mosquitto, so that the subscriber alone is the limit.

CPU is that of the subscriber's process, user and system: the more honest figure where a machine has two
cores, of which mosquitto takes one. `busy` is CPU over time: well below 1, somebody else was the limit; on a
machine that others use, `--first` makes them wait.
Ratios are medians over the rounds, each to the round's own bare counter.

Exit code 1: a message was lost or not counted, or not all windows were full.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmark.contenders import KINDS, Contender, Kind, contender, install_exporter
from tests.benchmark.feeders import Direct, Feeder, ThroughMosquitto
from tests.benchmark.packets import Link, Train
from tests.benchmark.processes import end_tidily

BURST_STEPS = 6
"""60,000 messages of 10,000 entities: fewer than the daemon's inbox holds, and than QoS 1 has packet ids."""
BAR_BARE, BAR_MOONSHOT, BAR_EXPORTER = 0.75, 1.5, 3.0
BUSY_MIN = 0.9


@dataclass
class Entrant:
    """A row of the table on its way: one value a round."""

    kind: Kind
    train: Train
    running: Contender
    link: Link
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    broker_us: list[float] = field(default_factory=list)


def measure(feeder: Feeder, entrants: Sequence[Entrant], rounds: int, bursts: int) -> None:
    """Fill the windows, then let one after the other have its turn, several times."""
    for one in entrants:
        for done in range(0, one.kind.warmup_steps, BURST_STEPS):
            _turn(feeder, one, 1, min(BURST_STEPS, one.kind.warmup_steps - done))
    for one in entrants:
        for values in (one.rates, one.cpu_us, one.busy, one.broker_us):
            values.clear()
    for number in range(1, rounds + 1):
        for one in entrants:
            _turn(feeder, one, bursts, BURST_STEPS)
        said = ", ".join(f"{one.kind.name} {one.rates[-1]:,.0f}" for one in entrants)
        print(f"round {number}: {said}", file=sys.stderr, flush=True)


def _turn(feeder: Feeder, one: Entrant, bursts: int, steps: int) -> None:
    wall_s = cpu_s = broker_s = 0.0
    messages = steps * one.train.messages
    for _ in range(bursts):
        block = b"".join(one.train.block() for _ in range(steps))
        took = feeder.feed(one.link, one.running.pid, block, messages if one.kind.qos else 0)
        wall_s, cpu_s, broker_s = wall_s + took.wall_s, cpu_s + took.cpu_s, broker_s + took.broker_s
    one.rates.append(bursts * messages / wall_s)
    one.cpu_us.append(1e6 * cpu_s / (bursts * messages))
    one.broker_us.append(1e6 * broker_s / (bursts * messages))
    one.busy.append(cpu_s / wall_s)


def table(entrants: Sequence[Entrant]) -> str:
    """Return the results, one line a contender."""
    bare, exporter = (_of(entrants, program) for program in ("bare", "exporter"))
    over = f"{'messages/s':^27}{'CPU us/message':^22}{'':>6}{'messages/s, times':^18}{'CPU':>7}{'broker':>8}"
    spread = f"{'min':>9}{'median':>9}{'max':>9}{'min':>8}{'median':>7}{'max':>7}"
    lines = [f"{'':22}{over}", f"{'':22}{spread}{'busy':>6}{'bare':>9}{'exporter':>9}{'/bare':>7}{'us':>8}"]
    for one in entrants:
        rates = "".join(f"{rate:9,.0f}" for rate in _spread(one.rates))
        cpu = "".join(f"{us:7.2f}" for us in _spread(one.cpu_us))
        lines.append(
            f"{one.kind.name:22}{rates} {cpu}{statistics.median(one.busy):6.2f}"
            f"{_ratio(one.rates, bare and bare.rates):>9}{_ratio(one.rates, exporter and exporter.rates):>9}"
            f"{_ratio(one.cpu_us, bare and bare.cpu_us):>7}{statistics.median(one.broker_us):8.2f}"
        )
    return "\n".join(lines)


def verdict(entrants: Sequence[Entrant]) -> list[str]:
    """Say whether the bars are reached, where all that it takes was measured."""
    ours, bare, exporter = (_of(entrants, program) for program in ("ours", "bare", "exporter"))
    bars = (
        ("bar", bare, "bare", BAR_BARE),
        ("moonshot", bare, "bare", BAR_MOONSHOT),
        ("bar", exporter, "mqtt-exporter", BAR_EXPORTER),
    )
    lines = []
    for word, other, name, bar in bars:
        if ours and other:
            ratio, a_cpu_s = _median_ratio(ours.rates, other.rates), _median_ratio(other.cpu_us, ours.cpu_us)
            answer = "reached" if ratio >= bar else "MISSED"
            if min(statistics.median(ours.busy), statistics.median(other.busy)) < BUSY_MIN:
                answer = "undecided, others used the cores"
            lines.append(
                f"{word} {bar:g} x {name}: {answer}; {ratio:.2f} a second, {a_cpu_s:.2f} a CPU second"
            )
    return lines


def _of(entrants: Sequence[Entrant], program: str) -> Entrant | None:
    """Return the first row of a program: the plain one."""
    return next((one for one in entrants if one.kind.program == program), None)


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)


def _ratio(values: Sequence[float], base: Sequence[float] | None) -> str:
    return f"{_median_ratio(values, base):.2f}" if base else ""


def _median_ratio(values: Sequence[float], base: Sequence[float]) -> float:
    return statistics.median(value / other for value, other in zip(values, base, strict=True))


def run(kinds: Sequence[Kind], given: argparse.Namespace) -> int:
    """Start all, measure, print, and ask everybody what they counted."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        feeder = Direct() if given.direct else ThroughMosquitto(directory)
        stack.callback(feeder.stop)
        entrants = []
        for index, kind in enumerate(kinds):
            site, five = f"site{index}", given.direct and kind.protocol == "5"
            train = Train(site, given.devices, given.interfaces, qos=kind.qos, five=five)
            running = stack.enter_context(contender(kind, site, directory / site, feeder.port))
            entrants.append(Entrant(kind, train, running, feeder.join(site)))
            os.kill(running.pid, signal.SIGSTOP)
        measure(feeder, entrants, given.rounds, given.bursts)
        print(table(entrants), *verdict(entrants), sep="\n", flush=True)
        problems = feeder.problems()
        for one in entrants:
            os.kill(one.running.pid, signal.SIGCONT)
            problems += [f"{one.kind.name}: {problem}" for problem in one.running.problems(one.train)]
    sent = sum(one.train.sent for one in entrants)
    print(*problems or [f"all of {sent:,} messages counted by who they were for, windows full"], sep="\n")
    return 1 if problems else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--direct", action="store_true", help="a stub instead of mosquitto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bursts", type=int, default=2, help="backlogs a turn")
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--interfaces", type=int, default=50, help="of each device")
    parser.add_argument("--only", default="", help=f"some of: {','.join(kind.key for kind in KINDS)}")
    parser.add_argument("--first", action="store_true", help="before all others on this machine; needs root")
    given = parser.parse_args()
    end_tidily()
    if given.first:
        # `nice` counts only within the group that the kernel makes of the processes of a terminal.
        Path("/proc/self/autogroup").write_text("-20")
    only = given.only.split(",") if given.only else [kind.key for kind in KINDS]
    kinds = [kind for kind in KINDS if kind.key in only]
    if any(kind.program == "exporter" for kind in kinds) and (reason := install_exporter()):
        print(f"mqtt-exporter CANNOT BE INSTALLED, so it is not measured: {reason}")
        kinds = [kind for kind in kinds if kind.program != "exporter"]
    return run(kinds, given)


if __name__ == "__main__":
    sys.exit(main())
