"""A recorder that is killed at any moment: every file is whole, no row is twice, what is lost is bounded."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from pyarrow import parquet

LIVES = 150
FLUSH_STEPS = 50
"""The time that rows wait, in steps: the recorder's clock goes by a step with each step."""
AGAIN_STEPS = 20
"""Steps before its last one that come again in the next life, as a broker sends what was not acknowledged."""

ZYGOTE = """
import json, os, random, signal, sys, time
from pathlib import Path
import numpy as np
from detector.edge.recorder import Recorder
from detector.edge.tree import sweep
from detector.stream.definition import Definition, Signal

directory, lives, flush_steps, again_steps = Path(sys.argv[1]), *map(int, sys.argv[2:])
definition = Definition("s", ("device",), (Signal("x"),), 1.0, 6)
entities = [(f"leaf{n}",) for n in range(3)]
seen = np.ones((3, 1), bool)

def live(step, say):
    swept = sweep(directory)
    clock = [0]
    recorder = Recorder(directory, definition, 10**6, float(flush_steps), lambda: clock[0])
    os.write(say, f"{swept}\\n".encode())
    while True:
        os.write(say, f"{step}\\n".encode())
        # A minute before midnight at first, so that files of two days are written at once.
        recorder.add(86_340.0 + step, entities, np.full((3, 1), step, np.float32), seen)
        clock[0] += 1
        recorder.flush()
        step += 1

random.seed(1)
start = 0
for _ in range(lives):
    listen, say = os.pipe()
    child = os.fork()
    if not child:
        try:
            live(start, say)
        finally:
            os._exit(1)
    os.close(say)
    said, least = b"", random.randrange(8 * flush_steps)  # a life by its steps, for machines differ
    while said.count(b"\\n") <= least:
        said += os.read(listen, 1 << 16)
    time.sleep(random.uniform(0, 0.01))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    while part := os.read(listen, 1 << 16):
        said += part
    os.close(listen)
    swept, *steps = map(int, said.split())
    print(json.dumps([swept, start, max(steps, default=start)]), flush=True)
    start = max(max(steps, default=start) - again_steps, 0)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory, request):
    """Return the tree that is left, and of each life what it swept, its first and its last step."""
    directory = tmp_path_factory.mktemp("killed")
    words = [directory, LIVES, FLUSH_STEPS, AGAIN_STEPS]
    said = subprocess.run(
        [sys.executable, "-c", ZYGOTE, *map(str, words)],
        cwd=request.config.rootpath,
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    return directory, [json.loads(line) for line in said.stdout.splitlines()]


def rows(directory):
    """Return (step, device) of each row on the disk; a file that cannot be read fails the test."""
    found = []
    for path in directory.rglob("*.parquet"):
        table = parquet.read_table(path)
        found += zip(table["x"].to_pylist(), table["device"].to_pylist(), strict=True)
    return found


def test_every_file_is_whole_and_no_row_is_twice(killed):
    directory, lives = killed
    found = rows(directory)
    assert len(set(found)) == len(found)
    assert len(found) > 3 * LIVES, "lives lasted, and left something"
    assert {path.parent.name for path in directory.rglob("*.parquet")} == {"1970-01-01", "1970-01-02"}
    assert sum(swept for swept, _, _ in lives) > LIVES // 10, "many a kill hit a file that was being written"


def test_what_is_lost_had_waited_for_no_longer_than_it_may(killed):
    directory, lives = killed
    there = {step for step, _ in rows(directory)}
    missing = set(range(lives[-1][2] + 1)) - there
    bounded = {step for _, _, last in lives for step in range(last - FLUSH_STEPS, last + 1)}
    assert missing
    assert missing <= bounded


def test_a_step_is_there_for_all_of_its_entities_or_for_none(killed):
    directory, _ = killed
    counts: dict[float, int] = {}
    for step, _ in rows(directory):
        counts[step] = counts.get(step, 0) + 1
    assert set(counts.values()) == {3}
