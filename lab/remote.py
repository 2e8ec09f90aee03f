"""Run our modules inside a guest: without a controller, started as `python3 -m ansible.modules.NAME`, or by the playbooks."""

import json
import pathlib
import shutil
import subprocess
import tempfile

import ansible

ROOT = pathlib.Path(__file__).resolve().parents[1]
THERE = "/opt/direct-lvm"
DISK = "/dev/disk/by-id/virtio-data0"


def install(guest):
    """Put Ansible's module_utils and our modules below /opt/direct-lvm of a guest."""
    with tempfile.TemporaryDirectory() as folder:
        package = pathlib.Path(folder) / "ansible"
        installed = pathlib.Path(ansible.__file__).parent
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(str(installed / "module_utils"), str(package / "module_utils"), ignore=ignore)
        if (installed / "_internal").exists():
            shutil.copytree(str(installed / "_internal"), str(package / "_internal"), ignore=ignore)
        shutil.copytree(str(ROOT / "module_utils" / "direct_lvm"), str(package / "module_utils" / "direct_lvm"), ignore=ignore)
        shutil.copytree(str(ROOT / "library"), str(package / "modules"), ignore=ignore)
        (package / "__init__.py").write_text("")
        (package / "modules" / "__init__.py").write_text("")
        shutil.copy(str(installed / "release.py"), str(package))
        guest.put(folder, THERE)


def parameters(devices=("/dev/vdb",), docker=False, check=False, goal="provision", lock_timeout=600, containerd=None, **pool):
    """The module's parameters as it reads them.

    docker: whether Docker moves too, or a dictionary of its parameters.  containerd: a dictionary of its parameters;
    given with Docker too.
    """
    wanted = {"pool": dict(pool, devices=list(devices)), "goal": goal}
    if docker:
        wanted["docker"] = docker if isinstance(docker, dict) else {}
    if containerd is not None:
        wanted["containerd"] = containerd
    wanted.update(lock_timeout=lock_timeout, _ansible_check_mode=check)
    return json.dumps({"ANSIBLE_MODULE_ARGS": wanted})


def command(before="", module="direct_lvm"):
    """The shell command that runs a module on /tmp/args.json; before: environment or a wrapper."""
    return "cd %s && %s python3 -m ansible.modules.%s /tmp/args.json" % (THERE, before, module)


def run(guest, before="", timeout=600, module="direct_lvm", **wanted):
    """Run a module in a guest and return its result as a dictionary; {'died': what it printed} when there is none.

    wanted: for direct_lvm what parameters() takes; for other modules their options, and check.
    """
    if module == "direct_lvm":
        given = parameters(**wanted)
    else:
        given = json.dumps({"ANSIBLE_MODULE_ARGS": dict(wanted, _ansible_check_mode=wanted.pop("check", False))})
    done = guest.ssh("cat > /tmp/args.json && " + command(before, module), stdin=given, timeout=timeout, check=False)
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    return {"died": "%d %s %s" % (done.returncode, done.stdout, done.stderr)}


def playbook(guest, name, *arguments):
    """The command that runs a playbook on the guest, as the user deploy, with sudo."""
    inventory = guest.folder / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": {guest.name: guest.variables("deploy")}}}))
    return ["ansible-playbook", "-i", str(inventory), "playbooks/%s.yml" % name, *arguments]


def play(guest, name, *arguments, rc=0):
    """What ansible-playbook prints. rc: the return code that it has to end with, None for any."""
    argv = playbook(guest, name, *arguments)
    done = subprocess.run(argv, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert rc in (None, done.returncode), done.stdout
    return done.stdout


def site(guest, rc=0, **variables):
    """What playbooks/site.yml prints."""
    return play(guest, "site", "-e", json.dumps(dict({"thin_pool_devices": [DISK]}, **variables)), rc=rc)
