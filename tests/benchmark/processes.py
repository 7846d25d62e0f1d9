"""What a process does, seen from outside: its CPU time, whether it waits, what its connections hold.

Nothing is asked of the process, so all are measured in the same way and nobody pays for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

POLL_S = 0.004
QUIET_POLLS = 6
"""Looks in a row that must find nothing to do, or a moment between two pieces would be taken for the end."""


def end_tidily() -> None:
    """Let SIGTERM end this process as an exception does, so that those it has started end too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def cpu_s(pid: int) -> float:
    """Return the CPU time of all threads of a process, user and system, to the nanosecond.

    The clock id is the one that `clock_getcpuclockid(3)` gives.
    """
    return time.clock_gettime((~pid << 3) | 2)


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def is_waiting(pid: int) -> bool:
    """Say whether no thread of a process runs, or would if it had a core."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            if (task / "stat").read_text().rpartition(")")[2].split()[0] not in "SI":
                return False
    return True


def bytes_under_way(port: int) -> int:
    """Return what the kernel holds in both directions for the TCP connections of a port of this machine."""
    end, total = f":{port:04X}", 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "01" and (words[1].endswith(end) or words[2].endswith(end)):  # established
            total += sum(int(part, 16) for part in words[4].split(":"))
    return total


def bytes_unread(port: int) -> int:
    """Return what the clients of a port of this machine have not read yet."""
    end = f":{port:04X}"
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(int(words[4].split(":")[1], 16) for words in lines if words[2].endswith(end))


def wait_until_done(
    pids: Sequence[int], port: int, attend: Callable[[float], None], timeout_s: float = 60.0
) -> tuple[float, float]:
    """Wait until processes have nothing to do and the connections of a port are empty.

    Args:
        pids: The processes.
        port: A TCP port of this machine.
        attend: Reads what comes to us, for so many seconds.
        timeout_s: How long they may take.

    Returns:
        Since when that is so, as `time.monotonic()`, and the CPU time of the first process then.
    """
    deadline_s = time.monotonic() + timeout_s
    quiet = 0
    since = (0.0, 0.0)
    while quiet < QUIET_POLLS:
        now_s, used_s = time.monotonic(), cpu_s(pids[0])
        assert now_s < deadline_s, (
            f"not done in {timeout_s:g} s: {[is_waiting(pid) for pid in pids]}, {bytes_under_way(port)} bytes"
        )
        if all(map(is_waiting, pids)) and bytes_under_way(port) == 0:
            since = since if quiet else (now_s, used_s)
            quiet += 1
        else:
            quiet = 0
        attend(POLL_S)
    return since
