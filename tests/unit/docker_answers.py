"""A Docker that answers as recorded ones did, for the tests that ask it."""

import os

import pytest
import states
from answering_host import AnsweringHost
from states import recorded

from module_utils.direct_lvm.facts import docker, systemd
from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.model import errors
from module_utils.direct_lvm.model.spec import DockerStorage
from module_utils.direct_lvm.texts import own_files

STOCK = "/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS"


class Host(AnsweringHost):
    """A host in a folder: systemctl's answer, and answers to commands by their first distinctive word."""

    def __init__(self, root):
        super().__init__(root)
        self.load, self.main_pid = "loaded", 0
        self.text = own_files.docker_dropin(states.ARTICLE, DockerStorage("auto", ""), STOCK)
        self.fragment = self.write("lib/docker.service", recorded("units", "debian-12-docker.io-20.10.24", "docker.service"))
        self.dropin = str(root / "etc/docker.service.d/direct-lvm.conf")
        self.answer("info", recorded("docker", "info-20.10.24-direct-lvm.json"))
        self.answer("--version", "Docker version 20.10.24+dfsg1, build 5d6db84\n")

    def run(self, argv, timeout=60, ok=(0,)):
        self.asked.append(" ".join(argv))
        if argv[0] == "systemctl":
            dropin = self.dropin if os.path.exists(self.dropin) else ""
            fragment = self.fragment if self.load == "loaded" else ""
            out = "Id=docker.service\nLoadState=%s\nActiveState=%s\n" % (self.load, self.active)
            out += "FragmentPath=%s\nDropInPaths=%s\nNeedDaemonReload=no\n" % (fragment, dropin)
            out += "MainPID=%d\n\n" % self.main_pid
            return commands.Result(tuple(argv), 0, out + "Id=docker.socket\nLoadState=%s\n" % self.load, "")
        word = next((one for one in self.answers if one in argv and (one != "info" or "--format" in argv)), None)
        rc, out, err = self.answers.get(word or "plain info", (0, "", ""))
        if ok is not None and rc not in ok:
            raise errors.CommandFailed(argv, "failed with return code %d" % rc, err)
        return commands.Result(tuple(argv), rc, out, err)

    def observe(self):
        return docker.observe_docker(DockerStorage("auto", self.dropin), states.ARTICLE)


@pytest.fixture(name="host")
def host_fixture(tmp_path, monkeypatch):
    one = Host(tmp_path)
    monkeypatch.setattr(commands, "run", one.run)
    monkeypatch.setattr(commands, "find", lambda name: name)
    monkeypatch.setattr(systemd, "RUNNING", str(tmp_path))
    monkeypatch.setattr(docker.docker_conflicts, "DAEMON_JSON", str(tmp_path / "daemon.json"))
    monkeypatch.setattr(docker.docker_conflicts, "DATA_ROOT", str(tmp_path / "docker"))
    monkeypatch.setattr(docker.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(docker, "BOOT_TIMEOUT", 0.05)
    monkeypatch.setattr(docker, "has_driver", lambda path: True)
    monkeypatch.setattr(docker.switch_record, "PATH", str(tmp_path / "switch.json"))
    return one
