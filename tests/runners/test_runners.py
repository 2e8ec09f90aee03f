"""site.yml, unchanged, under what runs it past one control node; and the context of an execution environment.

The host is benchmarks/stub_host.py, recorded as wanted: needs root. `make test-runners` runs this.
"""

import json
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(sys.executable).parent
sys.path.insert(0, str(ROOT / "benchmarks"))
from stub_host import DISK, StubHost

HERE = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3", "thin_pool_devices": [DISK]}


@pytest.fixture
def host(tmp_path):
    """A converged stub host."""
    return StubHost(tmp_path / "stub", "ours")


def inside(host, *argv):
    """Run a command of this environment on the host; the process, with all that it printed as stdout."""
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    path = "PATH=%s:%s" % (host.path, BIN)  # the host's recorded programs first
    return subprocess.run(host.inside("env", path, *argv), stdin=subprocess.DEVNULL, check=False, **out)


def inventory(folder, **hosts):
    """A file with an inventory of these hosts: name=variables beside HERE."""
    path = folder / "inventory.json"
    path.write_text(json.dumps({"all": {"hosts": {name: dict(HERE, **variables) for name, variables in hosts.items()}}}))
    return path


def under_runner(folder, host, **variables):
    """(the process, its events) of site.yml for two names of the host, as AWX runs it for each job slice."""
    folder.mkdir()
    (folder / "env").mkdir()
    (folder / "env" / "envvars").write_text(json.dumps({"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}))
    hosts = inventory(folder, node01=variables, node02=variables)
    what = ["--playbook", "playbooks/site.yml", "--project-dir", ROOT, "--inventory", hosts, "--ident", "job"]
    done = inside(host, "ansible-runner", "run", folder, *what)
    return done, [json.loads(path.read_text()) for path in (folder / "artifacts" / "job" / "job_events").glob("*.json")]


def plans(events):
    """{host: the module's plan} from ansible-runner's events."""
    told = [event["event_data"] for event in events if event["event"] in ("runner_on_ok", "runner_on_failed")]
    return {event["host"]: event["res"].get("steps") for event in told if event["task_action"].endswith("direct_lvm")}


def test_under_ansible_runner_hosts_that_are_as_wanted_stay_so(tmp_path, host):
    done, events = under_runner(tmp_path / "runner", host)
    assert done.returncode == 0, done.stdout
    assert plans(events) == {"node01": [], "node02": []}
    (stats,) = [event["event_data"] for event in events if event["event"] == "playbook_on_stats"]
    assert stats["changed"] == {}


def test_under_ansible_runner_a_refusal_fails_the_job_and_is_told(tmp_path, host):
    done, events = under_runner(tmp_path / "runner", host, thin_pool_devices=["no/where"])
    assert done.returncode == 2, done.stdout
    assert plans(events) == {"node01": [], "node02": []}
    assert "'no/where' is not a device name" in done.stdout
    (stats,) = [event["event_data"] for event in events if event["event"] == "playbook_on_stats"]
    assert stats["failures"] == {"node01": 1, "node02": 1}


def test_ansible_pull_from_a_repository_by_file_url(tmp_path, host):
    subprocess.run(["git", "clone", "-q", "--bare", str(ROOT), str(tmp_path / "project.git")], check=True)
    where = ["--url", "file://%s" % (tmp_path / "project.git"), "--directory", tmp_path / "checkout"]
    done = inside(host, "ansible-pull", *where, "--inventory", inventory(tmp_path, localhost={}), "playbooks/site.yml")
    assert done.returncode == 0, done.stdout
    assert "1 host already configured, unchanged" in done.stdout
    assert re.search(r"^localhost +: ok=1 +changed=0 +unreachable=0 +failed=0 ", done.stdout, re.M), done.stdout


def test_the_execution_environments_context_has_the_pinned_ansible(tmp_path):
    pytest.importorskip("ansible_builder", reason="ansible-builder is for Python 3.11 and newer")
    definition = ROOT / "execution-environment.yml"
    argv = [BIN / "ansible-builder", "create", "--file", definition, "--context", tmp_path, "--output-filename", "Containerfile"]
    subprocess.run([str(word) for word in argv], check=True)
    said = yaml.safe_load(definition.read_text())
    lines = (tmp_path / "Containerfile").read_text().splitlines()
    assert 'ARG EE_BASE_IMAGE="%s"' % said["images"]["base_image"]["name"] in lines
    core = said["dependencies"]["ansible_core"]["package_pip"]
    assert any(core in line for line in lines)
    assert core in (ROOT / "requirements.txt").read_text()
    assert (tmp_path / "_build" / "bindep.txt").read_text().strip() == "openssh-clients [platform:rpm]"
