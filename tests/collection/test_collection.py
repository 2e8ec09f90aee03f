"""The built collection as a stranger gets it: installed into an empty place, without this project's ansible.cfg."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULES = sorted("lvmops.direct_lvm." + path.stem for path in (ROOT / "library").glob("*.py"))
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
# What a playbook begins with, preflight for most; None: it includes its roles as it goes, which a list of tasks does not show.
OWN_ROLES = {"metrics": "pool_metrics", "status": "status", "trim": None, "upgrade": None, "verify": "verify"}
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())


@pytest.fixture(scope="session")
def call(tmp_path_factory):
    """A function that runs a command of Ansible's where only the collection is installed, and returns the process."""
    place = tmp_path_factory.mktemp("scratch")
    (place / "empty.cfg").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment.update(ANSIBLE_CONFIG=str(place / "empty.cfg"), ANSIBLE_COLLECTIONS_PATH=str(place), ANSIBLE_NOCOLOR="1")
    environment.update(ANSIBLE_LOCALHOST_WARNING="false", ANSIBLE_INVENTORY_UNPARSED_WARNING="false", HOME=str(place))

    def run(*argv):
        pipe = subprocess.PIPE
        return subprocess.run(argv, cwd=str(place), env=environment, stdout=pipe, stderr=pipe, universal_newlines=True)

    tarballs = list((ROOT / "build").glob("lvmops-direct_lvm-*.tar.gz"))
    assert len(tarballs) == 1, "build it first: make build-collection"
    installed = run("ansible-galaxy", "collection", "install", "--offline", "-p", str(place), str(tarballs[0]))
    assert installed.returncode == 0, installed.stderr
    run.place = place / "ansible_collections" / "lvmops" / "direct_lvm"
    return run


def test_ansible_doc_shows_the_modules(call):
    listed = json.loads(call("ansible-doc", "--json", "-t", "module", "-l", "lvmops.direct_lvm").stdout)
    assert sorted(listed) == MODULES
    shown = json.loads(call("ansible-doc", "--json", "-t", "module", *MODULES).stdout)
    for module in MODULES:
        assert shown[module]["doc"]["collection"] == "lvmops.direct_lvm"
        assert shown[module]["examples"]
        assert shown[module]["return"]


def test_ansible_doc_shows_the_roles(call):
    listed = json.loads(call("ansible-doc", "--json", "-t", "role", "-l", "lvmops.direct_lvm").stdout)
    assert sorted(listed) == ["lvmops.direct_lvm." + role for role in ROLES]


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_playbook_is_found_and_read_by_its_full_name(call, playbook):
    name = "lvmops.direct_lvm." + playbook
    checked = call("ansible-playbook", "-i", "localhost,", "--syntax-check", name)
    assert checked.returncode == 0, checked.stderr
    listed = call("ansible-playbook", "-i", "localhost,", "--list-tasks", name)
    assert listed.returncode == 0, listed.stderr
    role = OWN_ROLES.get(playbook, "preflight")
    assert role is None or "lvmops.direct_lvm.%s : " % role in listed.stdout


def test_site_finds_its_roles_and_reaches_the_module(call):
    """The module's own refusal comes before it looks at this machine: its name and its parameters were resolved."""
    article = call.place / "playbooks" / "vars" / "article.yml"
    given = {"thin_pool_devices": [], "ansible_become": False, "ansible_python_interpreter": sys.executable}
    local = ("-i", "localhost,", "-c", "local", "--check")
    refused = call("ansible-playbook", *local, "-e", "@%s" % article, "-e", json.dumps(given), "lvmops.direct_lvm.site")
    assert refused.returncode == 2, refused.stderr
    assert "thin_pool_devices is empty: no disk to make the thin pool from." in refused.stdout + refused.stderr


def test_status_finds_its_filter(call):
    """This machine may have LVM or not: the report is written either way."""
    folder = call.place.parents[2] / "status"
    variables = json.dumps({"ansible_become": False, "ansible_python_interpreter": sys.executable, "status_dir": str(folder)})
    done = call("ansible-playbook", "-i", "localhost,", "-c", "local", "-e", variables, "lvmops.direct_lvm.status")
    (row,) = json.loads((folder / "status.json").read_text())["hosts"]
    assert (row["host"], done.returncode) == ("localhost", 0), done.stdout


def test_the_changelog_tells_of_this_version(call):
    version = json.loads((call.place / "MANIFEST.json").read_text())["collection_info"]["version"]
    assert 'id="v%s"' % version.replace(".", "-") in (call.place / "CHANGELOG.md").read_text()


def test_the_links_of_the_pages_lead_somewhere(call):
    pages = list(call.place.glob("*.md")) + list(call.place.glob("docs/*.md"))
    targets = [(page.parent, link) for page in pages for link in re.findall(r"\]\(([\w./-]+)[)#]", page.read_text())]
    assert len(targets) > 5
    assert [str(link) for folder, link in targets if not (folder / link).is_file()] == []


def test_nothing_but_the_collection_came_along(call):
    files = "CHANGELOG.md CONTRIBUTING.md FILES.json LICENSE MANIFEST.json README.md SECURITY.md"
    folders = "changelogs docs meta playbooks plugins roles templates tests"
    assert {path.name for path in call.place.iterdir()} == set((files + " " + folders).split())
    assert not list(call.place.rglob("__pycache__"))
