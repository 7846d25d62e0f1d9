"""Files that hold secrets: found where systemd puts them, and looked at for who else can read them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""The variable in which systemd tells a service where its credentials are, see systemd.exec(5)."""


def credentials(keys: Iterable[str], given: Mapping[str, object]) -> dict[str, str]:
    """Return the credentials of this service as settings of the table `[mqtt]`.

    `LoadCredential=mqtt-password:PATH` in the unit is `password_file`, and so for each key that ends in
    `_file`. One that is given, or whose twin is, is not looked for.
    """
    directory = os.environ.get(CREDENTIALS)
    if not directory:
        return {}
    found = {}
    for key in keys:
        twin = key.removesuffix("_file")
        file = Path(directory, "mqtt-" + twin.replace("_", "-"))
        if key != twin and not {key, twin} & set(given) and file.is_file():
            found[key] = str(file)
    return found


def read(file: Path) -> str:
    """Return the secret in a file, without the line break at its end.

    Raises:
        ValueError: There is none; the message says why.
    """
    try:
        text = file.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ValueError(error.strerror) from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    if not text:
        raise ValueError("empty")
    return text


def exposed(files: Iterable[Path]) -> Iterator[str]:
    """Yield a line for each file that every user of this machine can read. One that is not there has none."""
    for file in files:
        try:
            mode = file.stat().st_mode
        except OSError:
            continue
        if mode & stat.S_IROTH:
            yield f"{file}: holds a secret and every user can read it; chmod o-rwx {file}"
