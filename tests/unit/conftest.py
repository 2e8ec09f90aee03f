"""Let the tests import the project's module_utils and library as the modules do, and name the long form of hostile input.

HYPOTHESIS_PROFILE=long pytest tests/unit, or pytest --hypothesis-profile=long tests/unit: 10,000 examples of each property.
"""

import os
import sys

from hypothesis import settings

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

settings.register_profile("long", max_examples=10000, deadline=None)
settings.register_profile("default", deadline=None)  # a busy machine is no failure
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
