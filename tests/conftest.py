"""What takes seconds to make, made once for all tests."""

import pytest

from tests.support.bundles import make_fabric, train


@pytest.fixture(scope="session")
def fabric(tmp_path_factory):
    """Return a simulated fabric; nobody changes it."""
    return make_fabric(tmp_path_factory.mktemp("fabric"))


@pytest.fixture(scope="session")
def trained(fabric):
    """Return the same fabric, with a trained bundle for each stream; nobody changes it."""
    train(fabric)
    return fabric
