"""The second daemon's work, with stand-ins for both daemons: what goes where, and what is left when it is cut off."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from module_utils.direct_lvm.apply import second_daemon
from module_utils.direct_lvm.facts import live
from module_utils.direct_lvm.host import commands, files
from module_utils.direct_lvm.model import steps
from module_utils.direct_lvm.model.errors import CommandFailed
from module_utils.direct_lvm.model.names import OURS

ROOT = pathlib.Path(__file__).resolve().parents[3]
WEB, OLD, GONE, NEW = "c" * 64, "a" * 64, "e" * 64, "1" * 64
IMAGE = "sha256:" + "b" * 64
STEP = steps.FillPool(
    "unix:///s", "", "/c.sock", "/usr/sbin/dockerd", ("--storage-driver", "devicemapper"), (), (), (), (), 60, "why"
)


class Daemon:
    """Stands in for the second daemon: what it was asked, and its data root."""

    def __init__(self, root):
        self.root, self.asked, self.fails = root / "direct-lvm-shadow", [], ""

    def run(self, argv, **_more):
        """What a command answers."""
        verb = argv[3] if argv[0] == "docker" else argv[0]
        self.asked.append(verb)
        if verb == self.fails:
            raise CommandFailed(argv, "failed with return code 1")
        if verb == "create":
            self.make(NEW, argv[argv.index("--label") + 1].partition("=")[2])
        if verb == "rm":
            (self.root / "image/devicemapper/layerdb/mounts" / argv[-1]).rmdir()
            (self.root / "containers" / argv[-1] / "config.v2.json").unlink()
        return commands.Result(tuple(argv), 0, IMAGE, "")

    def make(self, number, container):
        """A container for which a file system was made."""
        (self.root / "containers" / number).mkdir(parents=True)
        labels = {live.LABEL: container}
        (self.root / "containers" / number / "config.v2.json").write_text(json.dumps({"Config": {"Labels": labels}}))
        (self.root / "image/devicemapper/layerdb/mounts" / number).mkdir(parents=True)


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    """A Daemon that answers, and makes its folders when it starts."""
    one = Daemon(tmp_path)
    (tmp_path / "image").mkdir()

    @contextlib.contextmanager
    def serving(_step, root):
        for name in second_daemon.FOLDERS:
            (tmp_path / root / name).mkdir(parents=True, exist_ok=True)
        yield

    monkeypatch.setattr(commands, "run", one.run)
    monkeypatch.setattr(second_daemon, "serving", serving)
    monkeypatch.setattr(second_daemon, "copy_images", lambda step: one.asked.append("copy %s" % " ".join(step.images)))
    return one


def test_what_it_made_is_handed_over_by_the_names_of_docker(daemon, tmp_path):
    second_daemon.fill(STEP._replace(root=str(tmp_path), images=(IMAGE,), containers=((WEB, IMAGE),)))
    assert daemon.asked == ["copy " + IMAGE, "create", "sync"]
    assert (tmp_path / ("image/devicemapper" + OURS) / "layerdb/mounts" / WEB).is_dir()
    assert (tmp_path / ("devicemapper" + OURS)).is_dir()
    assert live.shadow(str(tmp_path)) == "idle"


def test_a_second_time_it_finds_its_own_containers_and_removes_those_that_are_stale(daemon, tmp_path):
    for folder in ("devicemapper" + OURS, "image/devicemapper%s/layerdb/mounts/%s" % (OURS, WEB)):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ("image/devicemapper" + OURS) / "layerdb/mounts" / GONE).mkdir()
    daemon.make("2" * 64, WEB)
    daemon.make("3" * 64, GONE)
    for number in "23":
        (daemon.root / "image/devicemapper/layerdb/mounts" / (number * 64)).rmdir()
    (daemon.root / "image/devicemapper/layerdb/mounts").rmdir()
    (daemon.root / "image/devicemapper/layerdb").rmdir()
    (daemon.root / "image/devicemapper").rmdir()
    (daemon.root / live.USED).write_text("")
    second_daemon.fill(STEP._replace(root=str(tmp_path), containers=((OLD, IMAGE),), stale=(GONE,), gone=(IMAGE,)))
    assert daemon.asked == ["rm", "create", "rmi", "sync"]
    mounts = tmp_path / ("image/devicemapper" + OURS) / "layerdb/mounts"
    assert sorted(path.name for path in mounts.iterdir()) == [OLD, WEB]
    assert live.shadow(str(tmp_path)) == "idle"


@pytest.mark.parametrize("fails", ["create", "sync"])
def test_what_was_cut_off_is_known_as_unfinished(daemon, tmp_path, fails):
    daemon.fails = fails
    with pytest.raises(CommandFailed):
        second_daemon.fill(STEP._replace(root=str(tmp_path), containers=((WEB, IMAGE),)))
    assert live.shadow(str(tmp_path)) == "unfinished"
    assert not (tmp_path / ("devicemapper" + OURS)).exists()


def test_a_child_ends_with_its_block():
    with second_daemon.child(["sleep", "100"], subprocess.DEVNULL, subprocess.DEVNULL, subprocess.DEVNULL) as process:
        assert process.poll() is None
    assert process.poll() == -9


PARENT = """
import subprocess, sys, time
from module_utils.direct_lvm.apply import second_daemon
with second_daemon.child(["sleep", "100"], subprocess.DEVNULL, subprocess.DEVNULL, subprocess.DEVNULL) as process:
    print(process.pid, flush=True)
    time.sleep(100)
"""


def test_a_child_ends_with_a_killed_parent():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=str(ROOT)) as parent:
        number = int(parent.stdout.readline())
        parent.kill()
    end = time.monotonic() + 10
    while os.path.exists("/proc/%d" % number) and not is_zombie(number):
        assert time.monotonic() < end, "the child outlives its parent"
        time.sleep(0.05)


def is_zombie(number):
    """Whether a process has ended, and nobody has taken notice."""
    return (files.read_text("/proc/%d/stat" % number) or ") Z").rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(("save", "load"), [("exit 3", "cat > /dev/null"), ("printf x", "exit 3"), ("sleep 9", "sleep 9")])
def test_a_copy_that_fails_on_either_side_is_told(tmp_path, monkeypatch, save, load):
    monkeypatch.setattr(second_daemon, "RUN", str(tmp_path))
    scripts = {"save": save, "load": load}
    monkeypatch.setattr(second_daemon, "client", lambda _host, verb, *_more: ["sh", "-c", scripts[verb] + "; #" + verb])
    with pytest.raises(CommandFailed, match=r"return code 3|did not finish within 1 s"):
        second_daemon.copy_images(STEP._replace(images=(IMAGE,), timeout=1))
