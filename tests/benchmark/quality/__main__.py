"""How good scores and alarms are, on the public data and on simulated fabrics: the whole table.

    python -m tests.benchmark.quality --data DIR [--sets smd,asd,tsb,cisco,simulate]
        [--architectures pca,ewma,conv1d] [--jobs 2] [--work DIR] [--write]

Each set is trained on, scored and judged by the trainer, the bundle and the pipeline of the product, at the
default budget of one false alarm an entity and week; no threshold looks at a label. `figures.py` has the
rows, their bars and how much worse is worse; how each is measured stands in the module of its group:

    servers.py     smd and asd by their train parts; tsb, the protocol of TSB-AD on its files of smd
    telemetry.py   cisco
    fabric.py      simulate, which needs no data

DIR has a folder a set, in the layout of a dataset; a set that is not there is left out, loudly. `servers` is
smd and asd together, where both were measured.

Printed is the table, and each difference to the one that was committed last, `table.json`. With `--write` the
new one takes its place. Exit code 1: a figure is worse by more than its spread, or a set was asked for and
is not there.

`--work` keeps simulated data and bundles; what an older source made is not used. Twenty minutes with two
jobs on two cores, and half of that with all bundles made; 3 GB a job.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.benchmark.quality import table
from tests.benchmark.quality.figures import FALSE, KEPT, Figure, pooled
from tests.benchmark.quality.tasks import measured
from tests.benchmark.quality.words import some_of

FOLDERS = {"smd": "smd", "asd": "asd", "tsb": "smd", "cisco": "cisco", "simulate": ""}
"""The sets, and where each is; one that is simulated is nowhere."""
ARCHITECTURES = ("pca", "ewma", "conv1d")
ACCEPTED_A_DAY = 1 / 7


def main(words: Sequence[str] | None = None) -> int:
    """Run as the command line says; return the exit code."""
    asked = _asked(words)
    there = [name for name in asked.sets if not FOLDERS[name] or (asked.data / FOLDERS[name]).is_dir()]
    missing = [name for name in asked.sets if name not in there]
    with _work(asked.work) as work:
        now = measured(asked.data, there, asked.architectures, work, asked.jobs)
    if {"smd", "asd"} <= now.keys():
        now["servers"] = _servers(now, asked.architectures)
    then = table.read(asked.table)
    print(table.text(now, asked.architectures))
    worse = 0
    for is_worse, line in table.differences(now, then, asked.architectures):
        worse += is_worse
        print(line)
    if asked.write:
        for group, columns in now.items():
            then.setdefault(group, {}).update(columns)
        table.write(then, asked.table)
    for name in missing:
        print(f"NOT MEASURED: {name}: there is no {asked.data / FOLDERS[name]}", file=sys.stderr)
    return 1 if missing or (worse and not asked.write) else 0


def _asked(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How good scores and alarms are.")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="one folder a set")
    sets = some_of(tuple(FOLDERS))
    parser.add_argument("--sets", type=sets, default=list(FOLDERS), metavar="NAME,...", help="to be measured")
    which = some_of(ARCHITECTURES)
    parser.add_argument("--architectures", type=which, default=list(ARCHITECTURES), metavar="NAME,...")
    parser.add_argument("--jobs", type=int, default=1, help="how many at once")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep bundles and simulated data there")
    parser.add_argument("--write", action="store_true", help="put what is measured into the table")
    parser.add_argument("--table", type=Path, default=table.COMMITTED, help="the last table")
    return parser.parse_args(words)


@contextmanager
def _work(kept: Path | None) -> Iterator[Path]:
    if kept:
        yield kept
    else:
        with tempfile.TemporaryDirectory() as made:
            yield Path(made)


def _servers(now: table.Table, architectures: Sequence[str]) -> dict[str, dict[str, Figure]]:
    return {
        one: {KEPT: pooled([now[name][one][FALSE] for name in ("smd", "asd")], ACCEPTED_A_DAY)}
        for one in architectures
    }


if __name__ == "__main__":
    sys.exit(main())
