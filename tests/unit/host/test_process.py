"""The running process of a service, as /proc shows it."""

import os
import shutil
import socket
import subprocess
import sys

import pytest
from states import recorded

from module_utils.direct_lvm.host import process
from module_utils.direct_lvm.texts import programs

PYTHON = [sys.executable, "-c", "print(flush=True); input()"]


@pytest.fixture
def start():
    """A function that starts a program and returns its process once it runs; all are ended."""
    started = []

    def one(words):
        started.append(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert started[-1].stdout.readline()  # it runs its program by then
        return started[-1]

    yield one
    for each in started:
        each.communicate()


def test_the_words_and_the_folder_of_a_running_process(start):
    words = [*PYTHON, "--storage-opt", "dm.fs=ext4", ""]
    one = start(words)
    assert process.words(one.pid, "cmdline") == tuple(words)
    assert "PATH=" + os.environ["PATH"] in process.words(one.pid, "environ")
    assert process.folder(one.pid) == os.getcwd()


def test_no_process_has_nothing():
    assert (process.words(0, "cmdline"), process.folder(0), process.sockets(0), process.daemon(0, "docker")) == ((), "", (), 0)


@pytest.mark.parametrize(
    ("program", "service", "is_one"),
    [
        ("/usr/sbin/dockerd", "docker", True),
        ("/usr/bin/dockerd-current", "docker", True),
        ("/usr/bin/docker", "docker", True),
        ("/usr/bin/docker-current", "docker", True),
        ("/usr/bin/docker-proxy", "docker", False),
        ("/usr/bin/docker-containerd", "docker", False),
        ("/usr/bin/docker-init", "docker", False),
        ("/bin/sh", "docker", False),
        ("/usr/bin/containerd", "containerd", True),
        ("/opt/containerd-1.6/bin/containerd-1.6", "containerd", True),
        ("/usr/bin/containerd-shim-runc-v2", "containerd", False),
        ("/usr/bin/containerd-stress", "containerd", False),
        ("/bin/bash", "containerd", False),
    ],
)
def test_a_daemon_is_known_by_its_program(program, service, is_one):
    assert programs.is_daemon((program, "--x"), service) == is_one
    assert not programs.is_daemon((), service)


@pytest.mark.parametrize("hand_over", [True, False], ids=["exec", "waits-for-its-child"])
def test_the_daemon_below_a_script_is_found(tmp_path, start, hand_over):
    daemon, script = tmp_path / "dockerd", tmp_path / "start-docker"
    shutil.copy("/bin/cat", str(daemon))
    script.write_text("#!/bin/sh\n%s %s /dev/fd/3 - 3<<END\n\nEND\n" % ("exec" if hand_over else "", daemon))
    script.chmod(0o755)
    one = start([str(script), "--debug"])
    found = process.daemon(one.pid, "docker")
    assert (found == one.pid) == hand_over
    assert process.words(found, "cmdline")[0] == str(daemon)


def test_a_script_whose_daemon_has_another_name_is_all_there_is(start):
    one = start(PYTHON)
    assert process.daemon(one.pid, "docker") == one.pid


def test_a_process_may_call_itself_what_it_likes(tmp_path, monkeypatch):
    for pid, text in ((7, b"7 (cat) S 1 7 7"), (8, b"8 (x) S 1 (y) S 7 8 8"), (9, b"9 (a\nb) S 8 9"), (10, b"")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_bytes(text)
    monkeypatch.setattr(process, "PROC", str(tmp_path))
    assert process.children() == {1: [7], 7: [8], 8: [9]}


def test_the_sockets_on_which_a_process_listens(tmp_path):
    path = str(tmp_path / "api.sock")
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as client:
        one.bind(path)
        assert path not in process.sockets(os.getpid())  # it does not listen yet
        one.listen(1)
        client.connect(path)
        assert path in process.sockets(os.getpid())
    assert path not in process.sockets(os.getpid())


def test_the_recorded_sockets_of_a_containerd(tmp_path, monkeypatch):
    for name in ("fd", "net"):
        (tmp_path / "401" / name).mkdir(parents=True)
    for number, link in enumerate(recorded("containerd", "bookworm", "descriptors").split()):
        (tmp_path / "401" / "fd" / str(number)).symlink_to(link)
    (tmp_path / "401" / "net" / "unix").write_text(recorded("containerd", "bookworm", "net-unix"))
    monkeypatch.setattr(process, "PROC", str(tmp_path))
    assert process.sockets(401) == ("/run/site/containerd.sock", "/run/site/containerd.sock.ttrpc")
