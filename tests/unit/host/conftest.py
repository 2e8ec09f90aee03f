"""Trees for tests of writable layers."""

import pytest
from layers import Tree, why_none_can_be_made


@pytest.fixture(scope="session")
def layers_can_be_made(tmp_path_factory):
    """Skip the test where none can."""
    reason = why_none_can_be_made(tmp_path_factory.mktemp("probe"))
    if reason:
        pytest.skip(reason)


@pytest.fixture
def trees(tmp_path, layers_can_be_made):
    """(what is below, the layer, where the root file system will be)."""
    return Tree(tmp_path / "below"), Tree(tmp_path / "diff"), tmp_path / "root"
