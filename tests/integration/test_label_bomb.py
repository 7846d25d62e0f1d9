"""Names without end: half a million entities that nobody has seen, beside those that are known."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMES = 500_000
ALL_MB = 10.0
"""From the first tenth on."""
FLAT_MB = 3.0
"""In the second half: twelve bytes a name. The shortest text that could be kept of one takes fifty."""


def test_a_label_bomb_is_survived_with_flat_memory_while_known_entities_go_on_to_be_scored():
    done = subprocess.run(
        [sys.executable, ROOT / "tests/benchmark/label_bomb.py", "--names", str(NAMES)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        timeout=280,
        check=True,
    )
    told = json.loads(done.stdout[: done.stdout.rindex(b"}") + 1])
    assert told["names"] > NAMES * 0.99
    assert max(told["memory_mb"]) < told["memory_mb"][0] + ALL_MB, told["memory_mb"]
    assert max(told["memory_mb"][5:]) < told["memory_mb"][4] + FLAT_MB
    assert told["known_scored_min"] == 1000
    refused = sum(count for stream in told["refused"] for count in stream.values())
    assert refused + told["admitted"] == told["names"]
    assert told["samples_dropped"] == refused
    assert told["messages_dropped"] == {}
