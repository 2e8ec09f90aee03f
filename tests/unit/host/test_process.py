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


@pytest.fixture
def containerd(tmp_path, monkeypatch):
    """A recorded containerd as process 401. A function: (more lines of net/unix) -> the sockets on which it listens."""
    for name in ("fd", "net"):
        (tmp_path / "401" / name).mkdir(parents=True)
    for number, link in enumerate(recorded("containerd", "bookworm", "descriptors").split()):
        (tmp_path / "401" / "fd" / str(number)).symlink_to(link)
    monkeypatch.setattr(process, "PROC", str(tmp_path))
    monkeypatch.setattr(process, "is_closed_socket", lambda path: not path.startswith("/dev/shm/"))
    listeners = {"/run/k3s/containerd.sock": 77, "/run/systemd/private": 1}
    monkeypatch.setattr(process, "listener", lambda path: listeners.get(path, 401))

    def sockets(*more):
        (tmp_path / "401" / "net" / "unix").write_text(recorded("containerd", "bookworm", "net-unix") + "\n".join(more))
        return process.sockets(401)

    return sockets


SITE = ("/run/site/containerd.sock", "/run/site/containerd.sock.ttrpc")
REAL = "000000008c46506d: 00000002 00000000 00010000 0001 01 13288 "  # as of containerd's own


def test_the_recorded_sockets_of_a_containerd(containerd):
    assert containerd() == SITE


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (REAL + "/dev/shm/evil.sock", SITE),
        (REAL + "/run/k3s/containerd.sock", SITE),
        ("0 0 0 zz 0 0 0 /y", SITE),
        ("0: 2 0 zz 1 1 13288 /y", SITE),
        ("0: 2 0 00010000 1 1 " + "9" * 5000 + " /y", SITE),
        ("0: 2 0 00010000 1 1 \u0661 /y", SITE),
        ("/aaa.sock", SITE),
        (REAL.replace(" 00010000 ", " 00000000 ") + "/run/x.sock", SITE),
        ("@x", SITE),
        (REAL + "/run/systemd/private", (*SITE, "/run/systemd/private")),
    ],
    ids=[
        *("in-a-folder-of-everybodys", "of-another-daemon", "flags-that-are-no-number", "flags-that-are-no-number-either"),
        *("an-inode-that-is-none", "other-digits", "a-path-alone", "connected", "abstract", "handed-over-by-systemd"),
    ],
)
def test_a_line_that_another_user_wrote_into_the_list_of_sockets_names_none(containerd, line, found):
    """By a socket whose name has a line feed in it."""
    assert containerd(line) == found


@pytest.mark.parametrize("forged", ["x\n0: 2 0 00010000 1 1 %s %s", "x\n0 0 0 zz 0 0 0 /y"], ids=["of-its-inode", "no-line"])
def test_a_name_with_a_line_feed_in_the_kernels_own_list(tmp_path, forged):
    path, other = str(tmp_path / "api.sock"), str(tmp_path / "o")
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two, socket.socket(socket.AF_UNIX) as forger:
        for each, name in ((one, path), (two, other)):
            each.bind(name)
        one.listen(1)
        inode = os.readlink("/proc/self/fd/%d" % one.fileno())[8:-1]
        forger.bind("\0" + (forged % (inode, other) if "%" in forged else forged)[:106])
        assert [found for found in process.sockets(os.getpid()) if found.startswith(str(tmp_path))] == [path]


@pytest.mark.parametrize(
    ("kind", "mode", "trusted"),
    [("socket", 0o755, True), ("socket", 0o777, False), ("socket", 0o1777, False), ("socket", 0o775, False)]
    + [("link", 0o755, False), ("file", 0o755, False), ("none", 0o755, False), ("linked-folder", 0o755, True)],
)
def test_a_socket_counts_where_nobody_else_can_put_one(tmp_path, kind, mode, trusted):
    with socket.socket(socket.AF_UNIX) as one:
        folder = tmp_path / "run"
        folder.mkdir()
        one.bind(str(tmp_path / "real.sock" if kind == "link" else folder / "api.sock") if kind not in ("file", "none") else "")
        if kind == "link":
            (folder / "api.sock").symlink_to(tmp_path / "real.sock")
        if kind == "file":
            (folder / "api.sock").write_text("")
        if kind == "linked-folder":
            (tmp_path / "var").symlink_to(folder)
        folder.chmod(mode)
        assert process.is_closed_socket(str(tmp_path / ("var" if kind == "linked-folder" else "run") / "api.sock")) == trusted


@pytest.mark.parametrize("name", ["cmdline", "environ"])
def test_what_a_process_makes_longer_than_any_memory_is_not_read(tmp_path, monkeypatch, name):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / name).write_bytes(b"/usr/bin/dockerd\0" + b"x" * 100 + b"\0")
    monkeypatch.setattr(process, "PROC", str(tmp_path))
    assert process.words(7, name)[:1] == ("/usr/bin/dockerd",)
    monkeypatch.setattr(process.files, "LIMIT", 99)
    assert process.words(7, name) == ()


def test_a_list_of_sockets_longer_than_any_memory_tells_none(containerd, monkeypatch):
    monkeypatch.setattr(process.files, "LIMIT", 999)
    assert containerd() == ()
