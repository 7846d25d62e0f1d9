"""Files that hold secrets: found where systemd puts them, and looked at for who else can read them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""The variable in which systemd tells a service where its credentials are, see systemd.exec(5)."""
CREDENTIAL = "mqtt-"
"""What the name of each begins with."""


def credentials(keys: Iterable[str], given: Mapping[str, object]) -> dict[str, str]:
    """Return the credentials of this service as settings of the table `[mqtt]`.

    `LoadCredential=mqtt-password:PATH` in the unit is `password_file`, and so for each key that ends in
    `_file`. What is given, itself or as its twin, goes before it; but not a file that this user may not read:
    root named it, who reads it, and it is there as a credential because the service does not.
    """
    directory = os.environ.get(CREDENTIALS)
    if not directory:
        return {}
    found = {}
    for key in keys:
        twin = key.removesuffix("_file")
        file = Path(directory, CREDENTIAL + twin.replace("_", "-"))
        missing = key not in given or _is_denied(given[key])
        if key != twin and twin not in given and missing and file.is_file():
            found[key] = str(file)
    return found


def used_credentials(files: Iterable[object]) -> list[str]:
    """Return the names of the credentials among files."""
    directory = os.environ.get(CREDENTIALS)
    return [
        file.name for file in files if directory and isinstance(file, Path) and file.parent == Path(directory)
    ]


def _is_denied(file: object) -> bool:
    """Say whether a file is there, as far as one can see, and this user may not read it."""
    if not isinstance(file, str):
        return False
    try:
        Path(file).stat()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return not os.access(file, os.R_OK, effective_ids=True)


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
