"""The smoke test: what it makes, how it judges, and that nothing of it stays."""

import os
import stat
import tarfile

import pytest

from module_utils.direct_lvm.apply import smoke, smoke_client
from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.model.errors import CommandFailed, Refused

HOST, POOL = "unix:///run/d.sock", "vgdocker-thinpool"
TABLE = "0 47177728 thin-pool 253:0 253:1 1024 0 1 skip_block_zeroing \n"
STATUS = "0 47177728 thin-pool 7 4112/77824 %d/46072 - rw discard_passdown queue_if_no_space - 1024 \n"
LDD = (  # Debian 12 on amd64
    "\tlinux-vdso.so.1 (0x00007ffffbb85000)\n"
    "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f75f21c7000)\n"
    "\t/lib64/ld-linux-x86-64.so.2 (0x00007f75f23c5000)\n"
)
CHUNK = 524288
WRITE, KEPT, LEAK = "write", "kept", "leak"
PID = "4711"
ROOT = "1 2 253:7 /rootfs / rw - xfs /dev/mapper/docker-x\n3 1 0:5 / /proc rw - proc proc\n"


def test_ldd_of_a_dynamic_program():
    assert smoke_client.parse_ldd(LDD) == ("/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2")


def test_ldd_of_a_missing_library():
    with pytest.raises(Refused, match="a library is missing: libx.so.1 => not found"):
        smoke_client.parse_ldd("\tlibx.so.1 => not found\n")


@pytest.mark.parametrize(
    ("rc", "out", "err"),
    [(1, "", "\tnot a dynamic executable\n"), (0, "\tstatically linked\n", ""), (1, "\tnot a dynamic executable\n", "")],
)
def test_a_static_program_needs_no_library(monkeypatch, rc, out, err):
    monkeypatch.setattr(commands, "run", lambda argv, **_more: commands.Result(tuple(argv), rc, out, err))
    assert smoke_client.libraries("/bin/dd") == ()


def test_ldd_that_fails_otherwise_is_told(monkeypatch):
    monkeypatch.setattr(commands, "run", lambda argv, **_more: commands.Result(tuple(argv), 1, "", "Permission denied"))
    with pytest.raises(CommandFailed, match="Permission denied"):
        smoke_client.libraries("/bin/dd")


def test_usage_is_counted_in_chunks():
    assert smoke.parse_usage(STATUS % 146, TABLE) == smoke.Usage(146 * CHUNK, 46072 * CHUNK, CHUNK)


@pytest.mark.parametrize("status", ["0 47177728 thin-pool Fail", "0 47177728 thin-pool Error\n", "0 8 thin-pool 1 -/- 1/2 -\n"])
def test_a_pool_that_cannot_tell_is_refused(status):
    with pytest.raises(Refused, match="does not tell how full it is: 0 "):
        smoke.parse_usage(status, TABLE)


class FakeHost:
    """Stands in for commands.run: a pool whose use follows what the fake Docker does.

    behaviour: WRITE as it should be; KEPT: removal frees nothing; LEAK: Docker writes to somewhere else.
    neighbour: chunks that somebody else adds at each look at the pool.  own: chunks of the container's thin device.
    thin: the number of the pool that the container's root is a thin device of, "" when its root is none.
    """

    def __init__(self, monkeypatch, behaviour=WRITE):
        self.used, self.asked, self.there, self.behaviour = 100, [], set(), behaviour
        self.start_fails = self.remove_fails = False
        self.tpool, self.chunks, self.neighbour, self.own, self.thin = False, 46072, [], 10, "253:2"
        monkeypatch.setattr(smoke.files, "read_text", {"/proc/%s/mountinfo" % PID: ROOT}.get)
        monkeypatch.setattr(commands, "run", self.run)
        monkeypatch.setattr(smoke.time, "sleep", lambda _seconds: None)
        monkeypatch.setattr(smoke, "RETURN_TIMEOUT", 0)

    def run(self, argv, timeout=None, ok=(0,)):
        self.asked.append(argv)
        rc, out, err = self.answer(argv)
        if ok is not None and rc not in ok:
            raise CommandFailed(argv, "failed with return code %d" % rc, err)
        return commands.Result(tuple(argv), rc, out, err)

    def answer(self, argv):
        if argv[0] == "ldd":
            return 1, "", "\tnot a dynamic executable\n"
        if argv[0] == "dmsetup":
            return self.dmsetup(argv[1], argv[2])
        verb = argv[3]
        if verb == "import":
            with tarfile.open(argv[4]) as tar:
                assert tar.getnames() == ["dd", "sleep"]
            self.there.add("rmi")
            self.used += 40  # more than the megabytes that the test writes
        elif verb == "create":
            self.there.add("rm")
        elif verb == "start":
            if self.start_fails:
                return 126, "", "Error: failed to start containers"
        elif verb == "inspect":
            return 0, PID + "\n", ""
        elif verb == "exec":
            self.used += 0 if self.behaviour == LEAK else 33
            self.own += 0 if self.behaviour == LEAK else 31  # two of them it had
        elif verb not in self.there:
            return 1, "", "Error: No such image: x"
        elif self.remove_fails:
            return 1, "", "Error response from daemon: device or resource busy"
        else:
            self.there.remove(verb)
            self.used -= 0 if self.behaviour == KEPT else {"rm": 33, "rmi": 40}[verb]
        return 0, "", ""

    def dmsetup(self, verb, name):
        if name == "--major":
            return 0, "0 20971520 thin %s 5\n" % self.thin if verb == "table" else "0 20971520 thin %d 9\n" % (self.own * 1024), ""
        if verb == "info":
            return 0, "253:2\n", ""
        self.used += self.neighbour.pop(0) if self.neighbour and verb == "status" else 0
        if name != (POOL + "-tpool" if self.tpool else POOL):
            if name == POOL:
                return 0, "0 47177728 linear \n", ""
            return 1, "", "Device does not exist."
        return 0, TABLE if verb == "table" else (STATUS % self.used).replace("46072", str(self.chunks)), ""


@pytest.mark.parametrize("tpool", [False, True])
def test_a_pool_that_takes_and_returns_is_good(monkeypatch, tpool):
    host = FakeHost(monkeypatch)
    host.tpool = tpool
    measured = smoke.smoke_test(smoke_client.DockerClient(HOST, 60), POOL, 16)
    assert measured == smoke.Measured(100 * CHUNK, 173 * CHUNK, 100 * CHUNK)
    assert host.there == set()
    docker = [argv for argv in host.asked if argv[0] == "docker"]
    assert all(argv[1:3] == ["--host", HOST] for argv in docker)
    assert [argv[3] for argv in docker] == ["rm", "rmi", "import", "create", "start", "inspect", "exec", "rm", "rmi"]
    created = docker[3]
    assert created[-3:] == [smoke_client.IMAGE, "/sleep", "120"]
    assert docker[6][4:] == [smoke_client.NAME, "/dd", "if=/dev/zero", "of=/written", "bs=1048576", "count=16", "conv=fsync"]
    assert created[created.index("--network") + 1] == "none"


def test_docker_that_writes_elsewhere_is_found_though_the_import_filled_the_pool(monkeypatch):
    host = FakeHost(monkeypatch, LEAK)
    with pytest.raises(Refused, match="a container wrote 16 MiB, and thin pool vgdocker-thinpool grew by 0 MiB only"):
        smoke.smoke_test(smoke_client.DockerClient(HOST, 60), POOL, 16)
    assert host.there == set()


def test_space_that_does_not_return_is_told(monkeypatch):
    FakeHost(monkeypatch, KEPT)
    with pytest.raises(Refused, match="a container of 16 MiB was removed, and thin pool vgdocker-thinpool got back 0 MiB only"):
        smoke.smoke_test(smoke_client.DockerClient(HOST, 60), POOL, 16)


def test_a_container_that_does_not_start_leaves_nothing(monkeypatch):
    host = FakeHost(monkeypatch)
    host.start_fails = True
    with pytest.raises(CommandFailed, match="failed to start containers"):
        smoke.smoke_test(smoke_client.DockerClient(HOST, 60), POOL, 16)
    assert host.there == set()
    assert host.used == 100 - 33  # the fake's rm returns what was never written


@pytest.mark.parametrize("thin", ["253:2", "253:9", ""], ids=["own-device", "thin-on-another-pool", "root-is-none"])
def test_who_writes_elsewhere_is_found(monkeypatch, thin):
    host = FakeHost(monkeypatch, LEAK)
    host.thin = thin
    with pytest.raises(Refused, match="grew by 0 MiB only"):
        smoke.smoke_test(smoke_client.DockerClient(HOST, 60), POOL, 16)
    tries = len([argv for argv in host.asked if "exec" in argv])
    assert tries == (1 if thin == "253:2" else 3)  # its own device cannot be disturbed


def test_a_neighbour_that_removes_while_the_container_writes_does_not_hide_it(monkeypatch):
    host = FakeHost(monkeypatch)
    host.neighbour = [0] * 5 + [-60]  # right after the write
    smoke.smoke_test(smoke_client.DockerClient(HOST, 60), POOL, 16)
    assert not host.neighbour
    assert len([argv for argv in host.asked if "exec" in argv]) == 1


def test_a_neighbour_that_writes_while_the_space_returns_costs_another_try(monkeypatch):
    host = FakeHost(monkeypatch)
    host.neighbour = [0] * 7 + [100]
    smoke.smoke_test(smoke_client.DockerClient(HOST, 60), POOL, 16)
    assert not host.neighbour
    assert len([argv for argv in host.asked if "exec" in argv]) == 2


def test_a_runtime_that_shows_no_root_is_measured_by_the_whole_pool(monkeypatch):
    host = FakeHost(monkeypatch)
    monkeypatch.setattr(smoke.files, "read_text", lambda _path: None)
    smoke.smoke_test(smoke_client.DockerClient(HOST, 60), POOL, 16)
    assert not [argv for argv in host.asked if "--major" in argv]


@pytest.mark.parametrize("status", ["0 20971520 thin Fail", "0 20971520 thin - -", "0 8 linear", ""])
def test_a_thin_device_that_cannot_tell_is_refused(monkeypatch, status):
    monkeypatch.setattr(commands, "run", lambda argv, **_more: commands.Result(tuple(argv), 0, status, ""))
    with pytest.raises(Refused, match="does not tell what it has"):
        smoke.mapped(("253", "7"))


TASKS = (
    "TASK                     PID     STATUS\nother                    1       RUNNING\n%s    812     RUNNING\n" % smoke_client.NAME
)


def test_containerds_container_sleeps_while_dd_writes_in_it(monkeypatch):
    asked = []

    def run(argv, **_more):
        asked.append(argv[argv.index(smoke_client.NAMESPACE) + 1 :] if smoke_client.NAMESPACE in argv else list(argv))
        return commands.Result(tuple(argv), 0, TASKS if "ls" in argv else "statically linked" if argv[0] == "ldd" else "", "")

    monkeypatch.setattr(commands, "run", run)
    client = smoke_client.ContainerdClient("/run/c.sock", 60)
    client.prepare()
    client.start()
    client.write(16)
    assert client.pid() == 812
    ran = next(words for words in asked if words[0] == "run")
    assert ran[:4] == ["run", "--detach", "--snapshotter", "devmapper"]
    assert ran[-4:] == [smoke_client.REFERENCE, smoke_client.NAME, "/sleep", "120"]
    assert asked[-2][:5] == ["tasks", "exec", "--exec-id", "write", smoke_client.NAME]
    assert asked[-2][5:7] == ["/dd", "if=/dev/zero"]


def test_what_cannot_be_removed_is_told(monkeypatch):
    host = FakeHost(monkeypatch)
    host.remove_fails = True
    with pytest.raises(Refused, match="could not be removed: Error response from daemon: device or resource busy"):
        smoke.smoke_test(smoke_client.DockerClient(HOST, 60), POOL, 16)


def test_a_full_pool_is_left_alone(monkeypatch):
    host = FakeHost(monkeypatch)
    host.chunks = 150  # of 75 MiB
    with pytest.raises(Refused, match="has 25 MiB free, and the smoke test leaves a pool alone that has less than 39 MiB"):
        smoke.smoke_test(smoke_client.DockerClient(HOST, 60), POOL, 16)
    assert not any("import" in argv for argv in host.asked)


def test_no_pool_is_refused(monkeypatch):
    FakeHost(monkeypatch)
    with pytest.raises(Refused, match="there is no thin pool of the device-mapper name other, or it is not active"):
        smoke.smoke_test(smoke_client.DockerClient(HOST, 60), "other", 16)


def test_the_image_is_dd_and_its_libraries_at_their_paths(monkeypatch, tmp_path):
    library = tmp_path / "libc.so.6"
    library.write_bytes(b"library")
    link = tmp_path / "link.so"
    link.symlink_to(library)
    monkeypatch.setattr(smoke_client, "libraries", lambda _program: (str(link),))
    assert smoke_client.make_image(str(tmp_path / "image.tar")) == "LD_LIBRARY_PATH=" + str(tmp_path)
    with tarfile.open(str(tmp_path / "image.tar")) as tar:
        members = {member.name: member for member in tar}
        assert sorted(members) == sorted(["dd", "sleep", str(link).lstrip("/")])
        assert all(member.isfile() and member.mode == stat.S_IRWXU | 0o055 for member in members.values())
        assert tar.extractfile(str(link).lstrip("/")).read() == b"library"
        assert members["dd"].size == os.path.getsize(os.path.realpath(commands.find("dd")))


def test_no_dd_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(commands, "find", lambda _name: None)
    with pytest.raises(Refused, match="dd is not installed"):
        smoke_client.make_image(str(tmp_path / "image.tar"))
