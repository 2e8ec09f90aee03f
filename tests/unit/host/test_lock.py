"""The lock that keeps two runs on one host apart."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from module_utils.direct_lvm.host import commands, lock
from module_utils.direct_lvm.model.errors import Refused


def test_a_second_run_is_refused_with_the_file_that_tells_who_has_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "LOCK", str(tmp_path / "lock"))
    with lock.only_one_run(0):
        with pytest.raises(Refused) as refusal, lock.only_one_run(0):
            pass
        command = refusal.value.way_out.partition("/fd/N: ")[2]
        listed = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, universal_newlines=True).stdout
        assert {line.split("/")[2] for line in listed.split()} == {str(os.getpid())}
    with lock.only_one_run(0):  # it was let go
        assert os.stat(lock.LOCK).st_mode & 0o077 == 0


@pytest.mark.skipif(not os.path.isdir("/run"), reason="no Linux host")
def test_nobody_but_root_can_make_the_lock_first():
    folder = os.stat(os.path.dirname(lock.LOCK))
    assert (folder.st_uid, folder.st_mode & 0o022) == (0, 0)


# What runs meanwhile closes all that it inherits, as LVM does (_close_stray_fds), and sleeps on.
HOLDER = """
import sys
from module_utils.direct_lvm.host import commands, lock
lock.LOCK = sys.argv[1]
with lock.only_one_run(0):
    commands.run(["sh", "-c", "for fd in 3 4 5 6 7 8 9; do eval exec $fd'>&-'; done; echo $$ > " + sys.argv[2] + "; exec sleep 60"])
"""


def wait_for(condition):
    """Return once a function gives something true; it."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return condition()


def test_the_lock_of_a_killed_run_is_held_until_its_child_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "LOCK", str(tmp_path / "lock"))
    pid = tmp_path / "pid"
    root = str(pathlib.Path(__file__).resolve().parents[3])
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, lock.LOCK, str(pid)], cwd=root)
    child = int(wait_for(lambda: pid.exists() and pid.read_text().strip()))
    try:
        holder.kill()
        holder.wait()
        refused = pytest.raises(Refused, match="another run of direct_lvm, or a command that a killed one left")
        with refused, lock.only_one_run(0):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
    with lock.only_one_run(30):
        pass


def test_what_runs_under_the_lock_reads_nothing_and_lets_go_of_it(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    path.write_text("y\n")  # whatever somebody put there is no answer to a question of LVM's
    monkeypatch.setattr(lock, "LOCK", str(path))
    with lock.only_one_run(0):
        assert commands.run(["sh", "-c", "cat; readlink /proc/self/fd/0"]).out == "%s\n" % path
    assert commands.run(["readlink", "/proc/self/fd/0"]).out == "/dev/null\n"
    with lock.only_one_run(0):
        pass


def test_the_lock_is_no_link_of_somebody_elses(tmp_path, monkeypatch):
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    monkeypatch.setattr(lock, "LOCK", str(tmp_path / "lock"))
    with pytest.raises(OSError, match="symbolic link"), lock.only_one_run(0):
        pass
    assert not (tmp_path / "victim").exists()
