"""site.yml, unchanged, under what runs it past one control node: ansible-runner, an execution environment, ansible-pull.

The host is benchmarks/stub_host.py, recorded as wanted: needs root. `make test-fleet` runs this.
"""

import json
import pathlib
import re
import subprocess
import sys

import ansible_runner
import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(sys.executable).parent
sys.path.insert(0, str(ROOT / "benchmarks"))
from stub_host import DISK, StubHost


@pytest.fixture
def host(tmp_path):
    """A converged stub host, whatever it was given to listen with ended at the end."""
    stub = StubHost(tmp_path / "stub", "ours")
    yield stub
    stub.kill()


def plans(runner):
    """{host: the module's plan} from ansible-runner's events."""
    events = [event["event_data"] for event in runner.events if event["event"] in ("runner_on_ok", "runner_on_failed")]
    return {event["host"]: event["res"].get("steps") for event in events if event["task_action"].endswith("direct_lvm")}


def under_runner(folder, variables):
    """Run site.yml for two hosts, as AWX does for each job slice."""
    inventory = {"all": {"hosts": {"node01": None, "node02": None}, "vars": variables}}
    given = {"private_data_dir": str(folder), "project_dir": str(ROOT), "playbook": "playbooks/site.yml", "inventory": inventory}
    folder.mkdir()
    return ansible_runner.run(quiet=True, envvars={"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}, **given)


def test_under_ansible_runner_hosts_that_are_as_wanted_stay_so(tmp_path, host):
    runner = under_runner(tmp_path / "runner", host.listen())
    assert (runner.status, runner.stats["changed"]) == ("successful", {}), runner.stdout.read()
    assert plans(runner) == {"node01": [], "node02": []}


def test_under_ansible_runner_a_refusal_fails_the_job_and_is_told(tmp_path, host):
    runner = under_runner(tmp_path / "runner", dict(host.listen(), thin_pool_devices=["no/where"]))
    printed = runner.stdout.read()
    assert (runner.status, runner.rc) == ("failed", 2), printed
    assert "'no/where' is not a device name" in printed
    assert "Refused or not reached, and left as they were: node01, node02" in printed


def test_ansible_pull_from_a_repository_by_file_url(tmp_path, host):
    subprocess.run(["git", "clone", "-q", "--bare", str(ROOT), str(tmp_path / "project.git")], check=True)
    inventory = tmp_path / "inventory.json"
    here = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3", "thin_pool_devices": [DISK]}
    inventory.write_text(json.dumps({"all": {"hosts": {"localhost": here}}}))
    where = ["--url", "file://%s" % (tmp_path / "project.git"), "--directory", tmp_path / "checkout", "--inventory", inventory]
    done = subprocess.run(
        host.inside(BIN / "ansible-pull", *where, "playbooks/site.yml"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 host as wanted, nothing changed" in done.stdout
    assert re.search(r"^localhost +: ok=2 +changed=0 +unreachable=0 +failed=0 ", done.stdout, re.M), done.stdout


def test_the_execution_environments_context_has_the_pinned_ansible(tmp_path):
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
