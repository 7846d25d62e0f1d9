"""Where a broker is. Messages do not repeat what is given: a password may stand in it."""

from __future__ import annotations

import re
from ipaddress import IPv6Address

PORT_MAX = 65_535

_NO_HOST = "a host is a name or an address alone; port, username, password_file and tls are keys of their own"
_NO_PORT = "a port of 1 to 65535 stands behind the host, and an IPv6 address in brackets"


def host(text: str) -> str:
    """Return what is a name or an address.

    Raises:
        ValueError: It is neither.
    """
    if any(char in "@/?#[]" or char.isspace() or not char.isprintable() for char in text):
        raise ValueError(_NO_HOST)
    if ":" in text:
        try:
            IPv6Address(text)
        except ValueError:
            raise ValueError(_NO_HOST) from None
    return text


def address(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`; an IPv6 address stands in brackets.

    Raises:
        ValueError: It is something else.
    """
    match = re.fullmatch(r"\[([0-9a-fA-F:.]+)\]:(\d{1,5})|([^:\s]+):(\d{1,5})", text)
    if match is None or not 1 <= int(match[2] or match[4]) <= PORT_MAX:
        raise ValueError(_NO_PORT)
    return host(match[1] or match[3]), int(match[2] or match[4])
