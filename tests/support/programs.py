"""Real programs for tests: found, or skipped loudly."""

import os
import shutil

import pytest


def program(name):
    """Return a program's path; skip the test without it, or fail where REQUIRE_SERVICES=1."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None and os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"{name} is not installed, and REQUIRE_SERVICES=1")
    if found is None:
        pytest.skip(f"{name} IS NOT INSTALLED; this test needs the real one")
    return found
