"""Let the tests import the project's module_utils and library as the modules do, and name the long form of hostile input.

HYPOTHESIS_PROFILE=long pytest tests/unit, or pytest --hypothesis-profile=long tests/unit: 10,000 examples of each property.
"""

import os
import sys

import pytest
from hypothesis import settings

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

# A busy machine is no failure, hence no deadlines. `make test` and CI draw the same examples in each run; the long form draws
# others each time, whatever CI's own profile of Hypothesis says. What it finds becomes an @example or a row of its test.
settings.register_profile("default", deadline=None, derandomize=True, database=None)
settings.register_profile("long", deadline=None, derandomize=False, max_examples=10000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True, scope="session")
def run_folder(tmp_path_factory):
    """A folder in place of /run, in which only root may write."""
    from module_utils.direct_lvm.host import files  # by the path above

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "RUN", str(tmp_path_factory.mktemp("run")))
        yield
