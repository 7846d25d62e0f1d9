"""Real programs for tests: found, or skipped loudly."""

import os
import shutil
from pathlib import Path

import pytest


def program(name):
    """Return a program's path; skip the test without it, or fail where REQUIRE_SERVICES=1."""
    return _found(name, shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin"))


def data(path):
    """Return the path of a file that a real program comes with; skip the test without it, or fail."""
    return Path(_found(path, path if Path(path).exists() else None))


def _found(name, found):
    if found is None and os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"{name} is not installed, and REQUIRE_SERVICES=1")
    if found is None:
        pytest.skip(f"{name} IS NOT INSTALLED; this test needs the real one")
    return found
