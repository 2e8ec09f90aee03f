"""A test run is the same each time: pinned packages on every Python, and properties that draw the same examples."""

import pathlib
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHONS = ["3.%d" % minor for minor in range(6, 14)]  # as in tests/noxfile.py
REQUIREMENTS = sorted(path.relative_to(ROOT) for depth in ("", "*/") for path in ROOT.glob(depth + "requirements*.txt"))
FOLDERS = ("benchmarks", "docs", "lab", "molecule", "sweeps", "tests")


def installed(path, python):
    """{package: [what is said of its version, ...]} of a requirements file on a Python."""
    found = {}
    for line in (ROOT / str(path)).read_text().splitlines():
        if line and not line.startswith("#"):
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"python_version": python}):
                found.setdefault(wanted.name, []).append(str(wanted.specifier))
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_the_unit_tests_need_the_same_packages_each_time(python):
    found = installed("tests/requirements-unit.txt", python)
    assert sorted(found) == ["hypothesis", "jinja2", "pytest", "pyyaml"]


@pytest.mark.parametrize("path", REQUIREMENTS, ids=str)
def test_whatever_is_installed_is_pinned(path):
    for python in PYTHONS:
        for name, said in installed(path, python).items():
            assert [re.match(r"==[0-9][0-9.]*\Z", one) is not None for one in said] == [True], (name, said)


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.13"])
def test_on_pythons_of_controllers_the_unit_tests_have_the_versions_of_requirements_txt(python):
    everything = installed("requirements.txt", python)
    assert installed("tests/requirements-unit.txt", python).items() <= everything.items()


def test_all_properties_are_where_their_profile_is():
    sources = [path for folder in FOLDERS for path in (ROOT / folder).glob("**/*.py")]
    using = [path for path in sources if "hypothesis" in path.read_text()]
    assert {str(path.parent.relative_to(ROOT)) for path in using} <= {"tests/unit"} | {
        "tests/unit/%s" % room.name for room in (ROOT / "tests" / "unit").iterdir()
    }


def test_properties_draw_the_same_examples_each_time():
    profile = settings.get_profile("default")
    assert (profile.derandomize, profile.database) == (True, None)

    def drawn():
        found = []

        @settings(profile)
        @given(st.integers(), st.text())
        def collect(number, text):
            found.append((number, text))

        collect()
        return found

    first = drawn()
    assert len(set(first)) > 50
    assert drawn() == first


def test_the_long_form_draws_others_each_time_and_many():
    profile = settings.get_profile("long")
    assert (profile.derandomize, profile.max_examples) == (False, 10000)


def test_the_long_form_runs_each_night():
    (nightly,) = [
        yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "workflows").glob("*.yml") if "cron" in path.read_text()
    ]
    assert "schedule" in nightly["on"]
    assert {"run": "make test-unit-long"} in nightly["jobs"]["long"]["steps"]
    recipe = (ROOT / "Makefile").read_text().split("\ntest-unit-long:")[1].split("\n\n")[0]
    assert "--hypothesis-profile=long tests/unit" in recipe


def test_a_property_with_a_number_of_its_own_has_no_fewer_examples_in_the_long_form():
    own = [path.name for path in (ROOT / "tests" / "unit").rglob("*.py") if "max_examples=" in path.read_text()]
    assert sorted(own) == ["conftest.py", "test_repeatable.py"]
