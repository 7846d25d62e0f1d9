"""What takes seconds to make, made once for all tests."""

import os

import pytest
from hypothesis import settings

from detector.stream import score
from tests.support.bundles import make_fabric, train
from tests.support.certificates import Authority

# The judge of a change tries the same examples each time; every run of a developer tries new ones. No test is
# decided by how long it took: a machine may be busy.
settings.register_profile("developer", deadline=None)
settings.load_profile("ci" if os.environ.get("REQUIRE_SERVICES") == "1" else "developer")


@pytest.fixture(scope="session")
def fabric(tmp_path_factory):
    """Return a simulated fabric; nobody changes it."""
    return make_fabric(tmp_path_factory.mktemp("fabric"))


@pytest.fixture(scope="session")
def trained(fabric):
    """Return the same fabric, with a trained network for each stream; nobody changes it."""
    train(fabric, "conv1d")
    return fabric


@pytest.fixture(scope="session")
def baseline(tmp_path_factory):
    """Return such a fabric with a baseline for each stream, where a network would add nothing but seconds."""
    fabric = make_fabric(tmp_path_factory.mktemp("baseline"))
    train(fabric, "pca")
    return fabric


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """Return the authority that the broker and its clients trust."""
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Return an authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def client(pki):
    """Return a client's certificate and key."""
    return pki.client()


@pytest.fixture
def prompt_scores(monkeypatch):
    """Let scores tell of the newest step alone, so that a test can count the steps of an episode."""
    monkeypatch.setattr(score, "RATES", (1.0, 1.0))
