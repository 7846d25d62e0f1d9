"""Real telemetry with real faults, through a real mosquitto, the daemon and a real Prometheus.

    python -m tests.benchmark.cisco --data DIR [--sets SET ...] [--speed 20] [--offline] [--keep DIR]

DIR has one folder a set, see `cisco_data.py`, such as the sets of cisco-ie/telemetry in the dataset layout.

1. A bundle for devices and one for interfaces are trained on what is free of events in all sets of DIR: the
   time before the first label, where that is `FREE_MIN_S` at least. Devices of different sets may share a
   name and report different signals: they are told apart as `set.device`, and a bundle has the union of all
   signals.
2. Each set of `--sets` is scored by `detector score`.
3. Unless `--offline`: it is replayed over MQTT, both streams in step, and what became of it is asked of
   Prometheus, see `cisco_live.py`.

Printed is, for each fault, the highest score of the device and its interfaces in the minute after the onset,
where that puts the device among all devices, the delay of the first score above 1 in data time, and whether
an episode opened (`cisco_judge.py` has the rules); then every episode outside of the labels. Exit 0 only if
every fault of every judged set that has a bar (`BARS`) is found with no more false episodes per device-hour
than it says, by `detector score` and by Prometheus alike.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from detector import settings
from detector.evaluate.events import Episode, Event
from tests.benchmark import cisco_live
from tests.benchmark.cisco_data import ENTITY, FREE_MIN_S, STEP_S, events, free, read, sets_of, write_config
from tests.benchmark.cisco_judge import (
    PEAK_S,
    Finding,
    Key,
    Seen,
    alarm_share,
    device_hours,
    episodes_of,
    false_episodes,
    findings,
)

BARS = {"ds02_bgpclear": 0.5}
"""False episodes per device-hour, devices and interfaces together, that a set may have."""
FALSE_SHOWN_MAX = 25


def main() -> int:
    """Run as the command line says; return the exit code."""
    asked = _asked()
    sets = sets_of(asked.data)
    if unknown := set(asked.sets) - set(sets):
        print(f"no set {', '.join(sorted(unknown))} in {asked.data}", file=sys.stderr)
        return 2
    with _directory(asked.keep) as directory:
        config = write_config(directory, asked.data, sets)
        for stream in ENTITY:
            _train(directory, config, asked.data, sets, stream, asked.epochs)
        good = [_judge_set(directory, config, asked.data, name, asked) for name in asked.sets]
    return 0 if all(good) else 1


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The detector on real telemetry with labelled faults.")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="one folder a set")
    parser.add_argument("--sets", nargs="+", default=["ds02_bgpclear"], help="to be judged")
    parser.add_argument("--speed", type=float, default=20.0, help="of the replay, times real time")
    parser.add_argument("--epochs", type=int, default=60, help="of the training, at most")
    parser.add_argument("--offline", action="store_true", help="`detector score` alone, no services")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work here, and leave it there")
    return parser.parse_args()


@contextlib.contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory() as made:
            yield Path(made)
    else:
        keep.mkdir(parents=True)  # anew: a bundle keeps the champion that it has
        yield keep


# Training


def _train(directory: Path, config: Path, data: Path, sets: Sequence[str], stream: str, epochs: int) -> None:
    tables = {name: free(data, name, stream) for name in sets}
    used = [table for table in tables.values() if table is not None]
    left_out = [name for name, table in tables.items() if table is None]
    if not used:
        raise SystemExit(f"no set has {FREE_MIN_S:g} s before its first event: nothing to train {stream} on")
    file = directory / f"train_{stream}.parquet"
    pq.write_table(pa.concat_tables(used, promote_options="permissive"), file)
    print(
        f"{stream}: trained on {len(used)} sets; no {FREE_MIN_S:g} s before an event: {', '.join(left_out)}"
    )
    bundle = directory / "bundles" / stream
    _detector("train", file, "--config", config, "--stream", stream, "--out", bundle, "--epochs", epochs)


def _detector(*words: object) -> None:
    sys.stdout.flush()
    subprocess.run([sys.executable, "-m", "detector.cli", *map(str, words)], check=True)


# Judgement


def _judge_set(directory: Path, config: Path, data: Path, name: str, asked: argparse.Namespace) -> bool:
    place = directory / name
    place.mkdir()
    files = {}
    for stream in ENTITY:
        files[stream] = place / f"{stream}.parquet"
        pq.write_table(read(data, name, stream), files[stream])
    labels = events(data, name)
    offline = _offline(directory, config, place, files)
    hours = device_hours(labels, offline, STEP_S)
    print(f"\n== {name}: detector score ==")
    good = _report(name, labels, offline, hours, {})
    if not asked.offline:
        live = cisco_live.watch(place, config, files, asked.speed)
        print(f"\n== {name}: Prometheus, replay at x{asked.speed:g} ==")
        print(", ".join(f"{fact} {value:.0f}" for fact, value in live.facts.items()))
        good &= _report(name, labels, live.seen, hours, live.why)
    return good


def _offline(directory: Path, config: Path, place: Path, files: Mapping[str, Path]) -> Seen:
    scores = {}
    episodes: list[Episode] = []
    for stream in settings.load(config, {}).streams:
        out = place / f"scores_{stream.name}.parquet"
        _detector("score", files[stream.name], "--bundle", directory / "bundles" / stream.name, "--out", out)
        for key, time_s, score, active in _by_entity(stream.name, pq.read_table(out)):
            scores[key] = time_s, score
            episodes += episodes_of(key, time_s, score, active, stream.open_window_steps)
    return Seen(scores, episodes)


def _by_entity(stream: str, table: pa.Table) -> Iterator[tuple[Key, np.ndarray, np.ndarray, np.ndarray]]:
    names = [table[label].to_pylist() for label in ENTITY[stream]]
    entities = list(zip(*names, strict=True))
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, entity in enumerate(entities):
        rows.setdefault(entity, []).append(row)
    time_s, score, active = (table[name].to_numpy() for name in ("time", "score", "anomalous"))
    for entity, chosen in rows.items():
        interface = entity[1] if len(entity) > 1 else ""
        yield (stream, entity[0], interface), time_s[chosen], score[chosen], active[chosen]


def _report(
    name: str, events: Sequence[Event], seen: Seen, hours: float, why: Mapping[tuple[Key, float], str]
) -> bool:
    """Print how a set was judged; say whether it is within its bar."""
    found = findings(events, seen)
    print("\n".join(map(_finding_line, found)))
    above = sum(finding.delay_s <= PEAK_S for finding in found)
    hits = sum(finding.found for finding in found)
    blind = sum(event.kind == "fault" for event in events) - len(found)
    print(
        f"{hits} of {len(found)} faults found, {above} above 1 within {PEAK_S:g} s; {blind} not to be judged"
    )
    false = false_episodes(events, seen.episodes)
    print("".join(_false_line(episode, why) + "\n" for episode in false[:FALSE_SHOWN_MAX]), end="")
    if len(false) > FALSE_SHOWN_MAX:
        print(f"  ... and {len(false) - FALSE_SHOWN_MAX} more")
    each = ", ".join(f"{stream} {_rate(_of(false, stream), hours)}" for stream in ENTITY)
    print(f"false in {hours:.2f} device-hours outside of the labels: {each}, both {_rate(false, hours)}")
    shares = ", ".join(f"{stream} {alarm_share(events, seen, stream):.1%}" for stream in ENTITY)
    print(f"of that time in alarm: {shares}; episodes in all: {len(seen.episodes)}")
    return name not in BARS or (hits == len(found) and len(false) <= BARS[name] * hours)


def _of(episodes: Sequence[Episode], stream: str) -> list[Episode]:
    return [episode for episode in episodes if episode.stream == stream]


def _rate(episodes: Sequence[Episode], hours: float) -> str:
    return f"{len(episodes)} ({len(episodes) / hours:.2f}/h)" if hours else str(len(episodes))


def _finding_line(finding: Finding) -> str:
    event = finding.event
    before = f" ({finding.score_before:.2f} just before)" if finding.score_before > 1.0 else ""
    above = "never above 1" if np.isnan(finding.delay_s) else f"above 1 after {finding.delay_s:.0f} s"
    still = f"; an episode is open for {finding.open_for_s:.0f} s already" if finding.open_for_s > 0 else ""
    return (
        f"  {'found ' if finding.found else 'MISSED'} {event.start_s:.0f} {event.entity['device']}"
        f" {event.event}: highest {finding.score_max:.2f} (place {finding.rank}),"
        f" {above}{before}{still}"
    )


def _false_line(episode: Episode, why: Mapping[tuple[Key, float], str]) -> str:
    key = episode.stream, episode.entity["device"], episode.entity.get("interface", "")
    return (
        f"  false: {' '.join(key)} at {episode.start_s:.0f} for {episode.end_s - episode.start_s:.0f} s, "
        f"highest {episode.score_max:.2f} {why.get((key, episode.start_s), '')}"
    )


if __name__ == "__main__":
    sys.exit(main())
