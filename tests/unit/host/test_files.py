"""Files: what is written where others may write too."""

import os
import pathlib
import re
import shlex
import socket
import stat
import subprocess
import sys
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from module_utils.direct_lvm.host import files, lock
from module_utils.direct_lvm.model.errors import Refused


@pytest.mark.skipif(not os.path.isdir("/run"), reason="no Linux host")
def test_a_temporary_folder_is_in_one_of_roots_whatever_the_callers_environment_says(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)  # Python's own choice, made anew
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert tempfile.gettempdir() == str(tmp_path)
    with files.temporary_folder() as folder:
        assert os.path.dirname(folder) == files.RUN
        assert os.stat(folder).st_mode & 0o077 == 0
        assert list(tmp_path.iterdir()) == []
    assert not os.path.exists(folder)
    source = pathlib.Path(files.__file__).read_text()
    assert re.search(r'^RUN = "(.*?)"', source, re.M).group(1) == os.path.dirname(lock.LOCK)  # which is root's, see test_lock.py


# --- where others may write ------------------------------------------------------------------------------------

PLANTED = {
    "a-link-to-a-file": lambda path, victim: path.symlink_to(victim),
    "a-link-to-nothing": lambda path, victim: path.symlink_to(victim.parent / "new"),
    "a-link-to-a-folder": lambda path, victim: path.symlink_to(victim.parent),
    "a-hard-link": lambda path, victim: os.link(str(victim), str(path)),
    "a-file": lambda path, _victim: path.write_text("theirs"),
    "a-file-that-nobody-may-read": lambda path, _victim: path.touch(0),
    "a-folder": lambda path, _victim: path.mkdir(),
    "a-full-folder": lambda path, _victim: (path / "more").mkdir(parents=True),
    "a-fifo": lambda path, _victim: os.mkfifo(str(path)),
    "a-socket": lambda path, _victim: bind(path),
}
NAME = "direct-lvm.prom"


def bind(path):
    """Make a socket's file, by a name that is short enough for one."""
    folder = os.open(str(path.parent), os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("/proc/self/fd/%d/%s" % (folder, path.name))
    os.close(folder)


@pytest.fixture
def victim(tmp_path):
    """A file of root's outside of the shared folder; at the end it is as it was, and alone in its folder."""
    path = tmp_path / "root" / "disk"
    path.parent.mkdir()
    path.write_text("precious")
    path.chmod(0o640)
    yield path
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("precious", 0o640)
    assert list(path.parent.iterdir()) == [path]


@pytest.fixture
def shared(tmp_path):
    """A folder that others may write to."""
    path = tmp_path / "shared"
    path.mkdir()
    path.chmod(0o777)
    return path


@pytest.mark.parametrize("suffix", ["", files.SUFFIX], ids=["target", "temporary"])
@pytest.mark.parametrize("planted", PLANTED)
def test_root_writes_through_nothing_that_another_planted(shared, victim, planted, suffix):
    PLANTED[planted](shared / (NAME + suffix), victim)
    path = shared / NAME
    if suffix == "" and not re.search("link|file", planted):
        with pytest.raises(Refused, match="not a regular file: it is not replaced"):
            files.write_text(str(path), "figures")
        assert [each.name for each in shared.iterdir()] == [NAME]
        return
    files.write_text(str(path), "figures")
    assert (path.is_symlink(), path.read_text(), stat.S_IMODE(path.stat().st_mode)) == (False, "figures", 0o644)
    assert path.stat().st_nlink == 1
    assert {each.name for each in shared.iterdir()} - {NAME} <= {NAME + suffix}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(("mode", "uid"), [(0o755, 1001), (0o777, 0), (0o1777, 0), (0o775, 0)])
def test_a_file_of_anothers_is_replaced_by_one_of_roots(shared, mode, uid):
    path = shared / NAME
    path.write_text("theirs")
    os.chown(str(path), 1001, 1001)
    os.chown(str(shared), uid, 1001)
    shared.chmod(mode)
    files.write_text(str(path), "figures")
    assert (path.read_text(), path.stat().st_uid, path.stat().st_gid) == ("figures", 0, 0)


@pytest.mark.parametrize("call", ["write", "remove", "move-from", "move-to"])
@pytest.mark.parametrize("depth", ["", "a/b"], ids=["at-the-end", "on-the-way"])
def test_a_folder_that_another_made_a_link_is_not_entered(shared, victim, call, depth):
    (shared / "link").symlink_to(victim.parent)
    path = str(shared / "link" / depth / victim.name)
    (shared / "own").mkdir()
    calls = {
        "write": lambda: files.write_text(path, "figures"),
        "remove": lambda: files.remove(path),
        "move-from": lambda: files.move(str(shared / "link" / ".." / victim.parent.name), str(shared / "stolen")),
        "move-to": lambda: files.move(str(shared / "own"), path + "-new"),
    }
    with pytest.raises(Refused, match="is a link, and others than root may write to .*: root does not follow it") as refusal:
        calls[call]()
    assert refusal.value.way_out.endswith("readlink -f %s" % (shared / "link"))


def test_a_link_that_only_root_can_change_is_followed(tmp_path):
    (tmp_path / "data" / "etc").mkdir(parents=True)
    (tmp_path / "etc").symlink_to("data/../data/./etc")
    (tmp_path / "again").symlink_to(tmp_path / "etc")
    files.write_text(str(tmp_path / "again" / "docker" / "daemon.json"), "{}")
    assert (tmp_path / "data" / "etc" / "docker" / "daemon.json").read_text() == "{}"
    files.remove(str(tmp_path / "again" / "docker" / "daemon.json"))
    files.move(str(tmp_path / "etc" / "docker"), str(tmp_path / "again" / "podman"))
    assert os.listdir(str(tmp_path / "data" / "etc")) == ["podman"]
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(OSError, match="Too many levels of symbolic links: '%s/round'" % tmp_path):
        files.write_text(str(tmp_path / "round" / "file"), "")


@given(st.lists(st.sampled_from([".", "..", "a", "b", "link", "up", "abs"]), max_size=8))
def test_a_path_leads_where_the_kernel_says(tmp_path_factory, words):
    root = tmp_path_factory.getbasetemp() / "walk"
    if not root.exists():
        (root / "a" / "b" / "a").mkdir(parents=True)
        (root / "a" / "link").symlink_to("b")
        (root / "a" / "up").symlink_to("../a/./b/..")
        (root / "a" / "b" / "abs").symlink_to(root / "a")
    path = "/".join([str(root), *words])
    try:
        told = os.stat(path)
    except OSError as error:
        with pytest.raises(type(error)), files.opened(path):
            pass
        return
    with files.opened(path) as (descriptor, passed):
        assert os.path.samestat(os.fstat(descriptor), told)
        assert passed[-1].path == os.path.realpath(path)
        upper = list(pathlib.Path(passed[-1].path).parents)[::-1]
        assert [one.path for one in passed] == [*map(str, upper), passed[-1].path]


@pytest.mark.parametrize(
    ("modes", "more", "weak"),
    [
        pytest.param((0o755, 0o755), {}, None, id="closed"),
        pytest.param((0o755, 0o777), {}, 1, id="everybody"),
        pytest.param((0o755, 0o775), {}, 1, id="group"),
        pytest.param((0o777, 0o755), {}, 0, id="everybody-above"),
        pytest.param((0o1777, 0o755), {}, None, id="sticky-above"),
        pytest.param((0o755, 0o1777), {}, None, id="sticky-and-to-hold-a-folder"),
        pytest.param((0o755, 0o1777), {"filled": True}, 1, id="sticky-and-to-hold-files"),
        pytest.param((0o755, 0o755), {"strict": True, "filled": True}, None, id="strict"),
    ],
)
def test_who_may_put_something_else_in_the_place_of_a_folder(tmp_path, modes, more, weak):
    folders = [tmp_path / "upper", tmp_path / "upper" / "lower"]
    for folder, mode in zip(folders, modes):
        folder.mkdir()
        folder.chmod(mode)
    with files.opened(str(folders[1])) as (_descriptor, passed):
        told = files.weak_spot(passed, **more)
    assert told == "" if weak is None else told.startswith("%s may be written to by " % folders[weak])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
@pytest.mark.parametrize(
    ("mode", "strict", "weak"),
    [
        (0o755, False, ""),
        (0o755, True, "%s/upper belongs to user id 1001"),
        (0o1777, False, "%s/upper may be written to by everybody"),
    ],
)
def test_a_folder_of_another_user(tmp_path, mode, strict, weak):
    (tmp_path / "upper" / "lower").mkdir(parents=True)
    (tmp_path / "upper").chmod(mode)
    os.chown(str(tmp_path / "upper"), 1001, 1001)
    os.chown(str(tmp_path / "upper" / "lower"), 1001, 1001)
    with files.opened(str(tmp_path / "upper" / "lower")) as (_descriptor, passed):
        told = files.weak_spot(passed, strict)
    assert told == (weak % tmp_path if weak else "")


# --- what is no file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("planted", ["a-folder", "a-full-folder", "a-fifo", "a-socket"])
@pytest.mark.parametrize("call", ["write", "remove"])
def test_what_is_no_file_is_not_replaced_or_removed(tmp_path, planted, call):
    path = tmp_path / "it's here"
    PLANTED[planted](path, path)
    with pytest.raises(Refused, match="it's here is a.*, not a regular file: it is not (replaced|removed)") as refusal:
        files.write_text(str(path), "") if call == "write" else files.remove(str(path))
    command = refusal.value.way_out.split("\n")[0].partition(": ")[2]
    assert shlex.split(command) == ["ls", "-ld", str(path)]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


# With a mount over it, so that a mistake of ours does not take the host's /dev/null.
DEVICE = """
mount -t tmpfs none /mnt && cd {0} && touch /mnt/null && mount --bind /dev/null /mnt/null && exec {1} -c '
from module_utils.direct_lvm.host import files, trees
from module_utils.direct_lvm.model import errors
for call in (
    lambda: files.write_text("/mnt/null", "x"),
    lambda: files.remove("/mnt/null"),
    lambda: files.move("/mnt/null", "/mnt/other"),
    lambda: trees.remove_tree("/mnt/null"),
):
    try:
        call()
    except errors.Refused as refusal:
        print(refusal.what)'
"""


def test_a_device_is_not_replaced_or_removed_or_renamed():
    assert in_a_mount_namespace(DEVICE) == [
        "/mnt/null is a character device, not a regular file: it is not replaced.",
        "/mnt/null is a character device, not a regular file: it is not removed.",
        "/mnt/null is no folder: it is not renamed.",
        "/mnt/null is a character device, not a regular file: it is not removed.",
    ]


def in_a_mount_namespace(script):
    """The lines that a script prints in a mount namespace of its own; {0} is the project, {1} Python."""
    root = pathlib.Path(__file__).resolve().parents[3]
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script.format(root, sys.executable)]
    if subprocess.run([*argv[:4], "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("this host lets nobody make a mount namespace")
    return subprocess.run(argv, stdout=subprocess.PIPE, universal_newlines=True).stdout.splitlines()


def test_a_file_is_no_folder_to_rename(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="is no folder: it is not renamed"):
        files.move(str(tmp_path / "file"), str(tmp_path / "other"))


# --- what fails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "named"), [("fchmod", "file.direct-lvm-new"), ("fsync", "file.direct-lvm-new"), ("fsync", "")])
def test_what_fails_about_an_open_file_or_its_folder_is_told_by_name(tmp_path, monkeypatch, call, named):
    real = getattr(os, call)

    def fail(descriptor, *mode):
        if os.path.samestat(os.fstat(descriptor), os.stat(str(tmp_path / named))):
            raise OSError(5, "Input/output error")
        return real(descriptor, *mode)

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="Input/output error: '%s'" % (tmp_path / named)):
        files.write_text(str(tmp_path / "file"), "text")


@pytest.mark.parametrize("call", ["fchmod", "fsync", "rename"])
def test_a_write_that_fails_leaves_no_temporary_file(tmp_path, monkeypatch, call):
    (tmp_path / "file").write_text("before")

    def fail(*_given, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left on device: '%s'" % (tmp_path / "file.direct-lvm-new")):
        files.write_text(str(tmp_path / "file"), "after")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "before"


FULL = """
mount -t tmpfs -o size=64k none /mnt && cd {0} && echo before > /mnt/file && exec {1} -c '
from module_utils.direct_lvm.host import files
try:
    files.write_text("/mnt/file", "x" * 100000)
except OSError as error:
    print(error)
print(open("/mnt/file").read().strip(), __import__("os").listdir("/mnt"))'
"""


def test_a_full_disk_leaves_no_temporary_file():
    assert in_a_mount_namespace(FULL) == ["[Errno 28] No space left on device: '/mnt/file.direct-lvm-new'", "before ['file']"]
