"""One report per fleet for all tests: ansible-playbook makes it as playbooks/status.yml does."""

import fleet
import pytest

FLEETS = {"3 hosts": fleet.SMALL, "1,000 hosts": fleet.large(), "odd hosts": fleet.ODD}


@pytest.fixture(scope="session")
def reported(tmp_path_factory):
    """A function: name of a fleet -> (JSON report, what the terminal showed, seconds, the page's address)."""
    made = {}

    def report(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("fleet")
            made[name] = (*fleet.report(folder, FLEETS[name]), (folder / "status" / "status.html").as_uri())
        return made[name]

    return report
