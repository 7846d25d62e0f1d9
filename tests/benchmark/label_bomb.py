"""A label gone mad: millions of names that nobody has seen, beside entities that are known and go on.

    python tests/benchmark/label_bomb.py --names 5000000

The names come in every way that a publisher has: in records of one message, as keys of an object, in topics,
in user properties, and in texts that a pattern looks into. It prints the memory of the process as the names
go by, what was refused, and how many windows of the known entities were scored; both streams have room for a
thousand entities.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np

from detector.stream.bench import Judge
from detector.stream.definition import Definition, Layout, Signal
from detector.stream.nouns import Bools, Doubles, Drop, Floats, Message
from detector.stream.pipeline import StreamPipeline
from detector.stream.streams import Streams
from tests.support.streams import calibration

ENTITIES_MAX = 1000
KNOWN = 500
STEP_S = 10.0
START_S = 1_760_000_000.0
RECORDS = 1000
"""Of a message that has many."""
ALONE = 200
"""Messages of a step that name one entity each, in each of the ways that a message can name one."""
WINDOW_STEPS = 4

PLAIN = Definition(
    "plain",
    ("device", "interface"),
    (Signal("rx"), Signal("tx")),
    STEP_S,
    WINDOW_STEPS,
    "plain/{device}",
    layout=Layout(allow=(("interface", ("eth*", "bomb*")),)),
    entities_max=ENTITIES_MAX,
    device_entities_max=KNOWN,
)
KEYED = Definition(
    "keyed",
    ("site", "device"),
    (Signal("rx"),),
    STEP_S,
    WINDOW_STEPS,
    "keyed/#",
    layout=Layout(records="hosts.{host}", patterns=(("host", "(?P<site>[a-z]+)-(?P<device>.+)"),)),
    entities_max=ENTITIES_MAX,
)


def expected_zero(value: Floats, seen: Bools, end_s: Doubles) -> Floats:
    return np.zeros((len(value), value.shape[2]), np.float32)


def judge(width: int) -> Judge:
    return Judge(expected_zero, calibration(width))


def known(time_s: float) -> Iterator[Message]:
    """Yield what the known entities say in a step."""
    ports = [{"interface": f"eth{port}", "rx": 0.1, "tx": 0.1} for port in range(KNOWN)]
    yield Message("plain/r1", json.dumps(ports).encode(), time_s)
    hosts = {f"fra-r{index}": {"rx": 0.1} for index in range(KNOWN)}
    yield Message("keyed/x", json.dumps({"hosts": hosts}).encode(), time_s)


def bomb(names: Iterator[str], time_s: float) -> Iterator[Message]:
    """Yield names that nobody has seen, in all ways that there are."""
    some = list(islice(names, RECORDS))
    yield Message(
        "plain/r1", json.dumps([{"interface": f"bomb{name}", "rx": 1} for name in some]).encode(), time_s
    )
    some = list(islice(names, RECORDS))
    yield Message(
        "plain/r2", json.dumps([{"interface": f"bomb{name}", "rx": 1} for name in some]).encode(), time_s
    )
    hosts = {f"bomb-{name}": {"rx": 1} for name in islice(names, RECORDS)}
    yield Message("keyed/x", json.dumps({"hosts": hosts}).encode(), time_s)
    for name in islice(names, ALONE):
        yield Message(f"plain/{name}", b'{"interface":"bomb","rx":1}', time_s)
    for name in islice(names, ALONE):
        yield Message("plain/", b'{"interface":"bomb","rx":1}', time_s, properties=(("device", name),))
    for name in islice(names, ALONE):
        yield Message(f"keyed/{name}", b'{"hosts":{"bomb-%s":{"rx":1}}}' % name.encode(), time_s)


def rss_mb() -> float:
    """Return the memory that the process has now."""
    pages = int(Path("/proc/self/statm").read_text("utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def explode(names_total: int) -> dict[str, object]:
    """Let names go by; return memory in MB after each tenth of them, and what the streams counted."""
    streams = Streams([StreamPipeline(PLAIN, judge(2)), StreamPipeline(KEYED, judge(1))])
    for step in range(1, WINDOW_STEPS):
        streams.feed(list(known(START_S + STEP_S * step)))
        assert not [outcome for _, outcome in streams.tick(START_S + STEP_S * step) if outcome.scores]
    each = 3 * RECORDS + 3 * ALONE
    steps = max(names_total // each, 10)
    # A name is as long as names are: the counter alone would be a few bytes.
    names = (f"{index:x}".zfill(40) for index in count(1))
    memory_mb, scored = [], []
    for step in range(steps):
        time_s = START_S + STEP_S * (WINDOW_STEPS + step)
        streams.feed([*known(time_s), *bomb(names, time_s)])
        judged = [outcome.scores for _, outcome in streams.tick(time_s) if outcome.scores is not None]
        scored.append(sum(int((one.row < KNOWN).sum()) for one in judged))
        if (step + 1) % (steps // 10) == 0:
            memory_mb.append(rss_mb())
    refused = [dict(stream.roster.refused) for stream in streams.streams]
    dropped = [
        stream.dropped()[Drop.ENTITIES_MAX] + stream.dropped()[Drop.DEVICE_ENTITIES_MAX]
        for stream in streams.streams
    ]
    admitted = sum(len(stream.roster) for stream in streams.streams) - 2 * KNOWN
    return {
        "names": steps * each,
        "memory_mb": memory_mb,
        "known_scored_min": min(scored),
        "refused": refused,
        "samples_dropped": sum(dropped),
        "admitted": admitted,
        "messages_dropped": dict(streams.messages_dropped),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Feed names without end.")
    parser.add_argument("--names", type=int, default=2_000_000)
    asked = parser.parse_args()
    start_s = time.perf_counter()
    done = explode(asked.names)
    print(json.dumps(done, indent=1))
    took_s = time.perf_counter() - start_s
    print(f"{done['names']:,} names in {took_s:.0f} s")


if __name__ == "__main__":
    main()
