"""What the service manager is told, over the socket that it names in the environment.

See sd_notify(3). Without `NOTIFY_SOCKET` (not under systemd) nothing is sent.
"""

from __future__ import annotations

import os
import socket
from typing import Final

SEND_S: Final = 1.0
"""How long a manager that reads nothing may hold up the daemon."""


def notify(**facts: str) -> None:
    """Send facts such as `READY="1"`, `STATUS="..."`, `WATCHDOG="1"`; a manager that is gone is no matter."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    # A line is a fact, so a line break in a status would be the begin of another one.
    text = "\n".join(f"{key}={' '.join(value.splitlines())}" for key, value in facts.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.settimeout(SEND_S)
            manager.sendto(text.encode("utf-8", "replace"), address)
    except OSError:
        return


def watchdog_s() -> float | None:
    """Return how often the service manager wants a sign of life (half of its patience), None if never."""
    patience_us = os.environ.get("WATCHDOG_USEC", "")
    meant_for = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not patience_us.isdecimal() or meant_for != str(os.getpid()):
        return None
    return int(patience_us) / 2e6 or None
