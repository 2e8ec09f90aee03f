"""Vagrant on a guest of the lab: the Vagrantfile at the root, and what is left when a run is killed."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def start(script):
    """Start a shell script in lab/box.py; its output is one text."""
    argv = [sys.executable, str(ROOT / "lab" / "box.py"), "sh", "-ec", script]
    return subprocess.Popen(argv, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def processes(place):
    """{pid: command line} of all processes that name a folder in their command line or environment."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (path / "cmdline").read_bytes(), (path / "environ").read_bytes()
        except OSError:  # ended, or another user's
            continue
        if str(place).encode() in command + environment:
            found[int(path.name)] = command.replace(b"\0", b" ").decode()
    return found


def changed(output):
    """How many tasks changed something on the guest, of Ansible's recap."""
    (number,) = re.findall(r"default +: ok=\d+ +changed=(\d+)", output)
    return int(number)


def test_vagrant_up_puts_docker_on_the_spare_disk_and_provisioning_again_changes_nothing():
    run = start("vagrant up; vagrant ssh -c 'sudo docker info; sudo lvs'; echo AGAIN; vagrant provision; vagrant destroy --force")
    output, _ = run.communicate(timeout=3600)
    assert run.returncode == 0, output
    first, again = output.split("AGAIN\n")
    assert "Pool Name: vgdocker-thinpool" in first, output
    assert changed(first) > 0, output
    assert changed(again) == 0, output


def kill(run, _place):
    """What a harness does that has lost its patience."""
    run.kill()


def terminate_everything(run, place):
    """What the end of a container does."""
    (child,) = pathlib.Path("/proc/%d/task/%d/children" % (run.pid, run.pid)).read_text().split()
    for pid in [int(child), run.pid, *processes(place)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


@pytest.mark.parametrize("end", [kill, terminate_everything])
def test_a_run_that_is_ended_leaves_no_process_and_no_file(end):
    run = start("virsh --connect qemu:///session list >&2; echo; echo $VAGRANT_HOME; sleep 3600")
    place = next(pathlib.Path(line).parent for line in map(str.strip, run.stdout) if line.startswith("/var/tmp/"))
    assert [command for command in processes(place).values() if command.startswith("/usr/sbin/libvirtd")]
    end(run, place)
    deadline = time.monotonic() + 60
    while (place.exists() or processes(place)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert (place.exists(), processes(place)) == (False, {})
