"""What the service manager is told, over the socket that it names in the environment.

See sd_notify(3). Without `NOTIFY_SOCKET` (not under systemd) nothing is sent.
"""

from __future__ import annotations

import os
import socket


def notify(**facts: str) -> None:
    """Send facts such as `READY="1"`, `STATUS="..."`, `WATCHDOG="1"`; a manager that is gone is no matter."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    text = "\n".join(f"{key}={value}" for key, value in facts.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.sendto(text.encode(), address)
    except OSError:
        return


def watchdog_s() -> float | None:
    """Return how often the service manager wants a sign of life (half of its patience), None if never."""
    patience_us = os.environ.get("WATCHDOG_USEC", "")
    meant_for = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not patience_us.isdecimal() or meant_for != str(os.getpid()):
        return None
    return int(patience_us) / 2e6
