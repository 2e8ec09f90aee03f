"""Files: the lock that keeps two runs on one host apart, and what is removed of a tree."""

import os

import pytest

from module_utils.direct_lvm import files
from module_utils.direct_lvm.model import Refused


def test_a_second_run_is_refused_with_the_file_that_tells_who_has_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LOCK", str(tmp_path / "lock"))
    with files.only_one_run(0), pytest.raises(Refused, match="fuser -v %s" % files.LOCK), files.only_one_run(0):
        pass
    with files.only_one_run(0):  # it was let go
        assert os.stat(files.LOCK).st_mode & 0o077 == 0


@pytest.mark.skipif(not os.path.isdir("/run"), reason="no Linux host")
def test_nobody_but_root_can_make_the_lock_first():
    folder = os.stat(os.path.dirname(files.LOCK))
    assert (folder.st_uid, folder.st_mode & 0o022) == (0, 0)


MOUNTINFO = "36 35 98:0 / %s rw,noatime - ext4 /dev/root rw\n"


def test_a_tree_with_something_mounted_in_it_stays(tmp_path, monkeypatch):
    tree = tmp_path / "overlay2"
    (tree / "a b").mkdir(parents=True)
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTINFO % (str(tree) + "/a\\040b") + MOUNTINFO % (str(tree) + "-other") + MOUNTINFO % tree + "short\n")
    monkeypatch.setattr(files, "MOUNTS", str(table))
    assert files.mounts(str(tree)) == (str(tree), str(tree) + "/a b")
    with pytest.raises(Refused, match="is mounted in it") as refusal:
        files.remove_tree(str(tree))
    assert refusal.value.way_out == "If nobody uses it: umount '%s/a b'" % tree
    assert (tree / "a b").exists()


def test_of_a_mount_point_what_is_on_it_goes(tmp_path, monkeypatch):
    tree = tmp_path / "overlay2"
    (tree / "layer" / "diff").mkdir(parents=True)
    (tree / "file").write_text("x")
    (tmp_path / "mountinfo").write_text(MOUNTINFO % tree)
    monkeypatch.setattr(files, "MOUNTS", str(tmp_path / "mountinfo"))
    files.remove_tree(str(tree))
    assert list(tree.iterdir()) == []


def test_of_a_link_the_link_is_counted_and_removed(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "data").write_bytes(b"x" * 100000)
    link = tmp_path / "overlay2"
    link.symlink_to(tmp_path / "there")
    assert files.tree_size(str(link)) < 100000
    files.remove_tree(str(link))
    assert (tmp_path / "there" / "data").exists()


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
