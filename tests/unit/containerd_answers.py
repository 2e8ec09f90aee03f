"""A containerd that answers as recorded ones did, for the tests that ask it."""

import pytest
from answering_host import AnsweringHost
from states import recorded

from module_utils.direct_lvm.facts import containerd, systemd
from module_utils.direct_lvm.host import commands, process
from module_utils.direct_lvm.model import errors
from module_utils.direct_lvm.model.host import Docker, Unit
from module_utils.direct_lvm.model.names import MANAGED
from module_utils.direct_lvm.model.spec import ContainerdStorage, Pool
from module_utils.direct_lvm.texts import containerd_config

OURS = '%s\nversion = 2\n[plugins."io.containerd.snapshotter.v1.devmapper"]\n  pool_name = "vg-pool"\n' % MANAGED
POOL = Pool(devices=(), vg="vg", name="pool")
PLUGINS = recorded("containerd", "trixie", "plugins-ok")


class Host(AnsweringHost):
    """A host in a folder: systemctl's answer, and ctr's and containerd's by a distinctive word. Stands in for commands.run."""

    def __init__(self, root):
        super().__init__(root)
        self.removed = []
        self.command, self.arguments, self.environment, self.sockets = "/usr/bin/containerd", (), (), ()
        self.wanted = ContainerdStorage(
            self.path("conf.d/direct-lvm.toml"), self.path("containerd.service.d/direct-lvm.conf"), self.path("devmapper")
        )
        self.answer("dump", 'imports = ["%s"]\n' % self.path("config.toml"))
        self.answer("plugins", PLUGINS)
        self.answer("namespaces", "")
        self.answer("tasks", "")

    def path(self, name):
        return str(self.root / name)

    def run(self, argv, timeout=60, ok=(0,)):
        self.asked.append(" ".join(argv))
        if argv[0] == "systemctl":
            fragment = self.write("containerd.service", "[Service]\nExecStart=%s\n" % self.command)
            shown = "Id=containerd.service\nLoadState=%s\nActiveState=%s\nFragmentPath=%s\nNeedDaemonReload=no\nMainPID=7\n"
            there = self.active != "absent"
            values = ("loaded", self.active, fragment) if there else ("not-found", "inactive", "")
            return commands.Result(tuple(argv), 0, shown % values, "")
        rc, out, err = next((self.answers[word] for word in self.answers if word in argv), (127, "", "unexpected"))
        if ok is not None and rc not in ok:
            raise errors.CommandFailed(argv, "failed with return code %d" % rc, err or out)
        return commands.Result(tuple(argv), rc, out, err)

    def observe(self, docker=None, **options):
        seen = Docker("26.1.5", Unit("loaded", "active", False, (), docker)) if docker else None
        return containerd.observe_containerd(self.wanted, seen, pool=POOL, **options)


@pytest.fixture(name="host")
def host_fixture(tmp_path, monkeypatch):
    one = Host(tmp_path)
    monkeypatch.setattr(commands, "run", one.run)
    monkeypatch.setattr(systemd, "RUNNING", str(tmp_path))
    monkeypatch.setattr(containerd_config, "CONFIG", one.path("config.toml"))
    monkeypatch.setattr(process, "daemon", lambda pid, _service: pid)
    monkeypatch.setattr(process, "words", lambda _pid, name: {"cmdline": one.arguments, "environ": one.environment}[name])
    monkeypatch.setattr(process, "folder", lambda _pid: "/")
    monkeypatch.setattr(process, "sockets", lambda _pid: one.sockets)
    monkeypatch.setattr(containerd, "FILES", (one.path("config.toml"), one.path("*/*.toml")))
    monkeypatch.setattr(containerd.time, "sleep", lambda seconds: None)
    return one
