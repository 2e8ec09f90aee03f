"""Folders with everything in them: what is removed, what stays, and what is mounted meanwhile."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from module_utils.direct_lvm.host import trees
from module_utils.direct_lvm.model.errors import Refused

MOUNTINFO = "36 35 98:0 / %s rw,noatime - ext4 /dev/root rw\n"


def test_a_tree_with_something_mounted_in_it_stays(tmp_path, monkeypatch):
    tree = tmp_path / "overlay2"
    (tree / "a b").mkdir(parents=True)
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTINFO % (str(tree) + "/a\\040b") + MOUNTINFO % (str(tree) + "-other") + MOUNTINFO % tree + "short\n")
    monkeypatch.setattr(trees, "MOUNTS", str(table))
    assert trees.mounts(str(tree)) == (str(tree), str(tree) + "/a b")
    with pytest.raises(Refused, match="is mounted in it") as refusal:
        trees.remove_tree(str(tree))
    assert refusal.value.way_out == "If nobody uses it: umount '%s/a b'" % tree
    assert (tree / "a b").exists()


@pytest.mark.parametrize("name", ["a;reboot", "a\nb", "$(reboot)", "it's", "\x1b[2J", "\udcff", "`x`"])
def test_a_mount_points_name_is_one_word_of_what_is_pasted(tmp_path, monkeypatch, name):
    tree = tmp_path / "overlay2"
    (tree / name).mkdir(parents=True)
    monkeypatch.setattr(trees, "mounts", lambda _path: (str(tree), str(tree / name)))
    with pytest.raises(Refused) as refusal:
        trees.remove_tree(str(tree))
    assert str(refusal.value).count("\n") == 1
    assert str(refusal.value).replace("\n", "").isprintable()
    command = refusal.value.way_out.replace("If nobody uses it: umount ", "printf %s ")
    assert subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE).stdout == os.fsencode(str(tree / name))


def test_of_a_mount_point_what_is_on_it_goes(tmp_path, monkeypatch):
    tree = tmp_path / "overlay2"
    (tree / "layer" / "diff").mkdir(parents=True)
    (tree / "file").write_text("x")
    place = os.stat(str(tmp_path)).st_ino
    monkeypatch.setattr(trees, "mount_of", lambda descriptor: os.fstat(descriptor).st_ino == place)
    trees.remove_tree(str(tree))
    assert list(tree.iterdir()) == []


@pytest.mark.parametrize(("numbers", "stays"), [(("7", "7"), False), (("7", "8"), True), ((None, None), True)])
def test_a_btrfs_subvolume_is_no_mount_though_it_has_a_device_number_of_its_own(tmp_path, monkeypatch, numbers, stays):
    """What Docker's driver btrfs left. A kernel that tells no mount's number leaves the device's alone."""
    tree = tmp_path / "btrfs"
    (tree / "subvolume").mkdir(parents=True)
    inner = (tree / "subvolume").stat().st_ino
    real = os.fstat

    def fstat(descriptor):
        status = real(descriptor)
        return os.stat_result((*status[:2], status.st_dev + (status.st_ino == inner), *status[3:]))

    def fdinfo(path):
        number = numbers[real(int(path.rpartition("/")[2])).st_ino == inner]
        return "pos:\t0\nflags:\t0100000\n" + ("mnt_id:\t%s\n" % number if number else "")

    monkeypatch.setattr(trees.os, "fstat", fstat)
    monkeypatch.setattr(trees, "read_text", lambda path: "" if path == trees.MOUNTS else fdinfo(path))
    if stays:
        with pytest.raises(Refused, match="is mounted in it"):
            trees.remove_tree(str(tree))
    else:
        trees.remove_tree(str(tree))
    assert (tree / "subvolume").exists() == stays


def test_of_a_link_the_link_is_counted_and_removed(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "data").write_bytes(b"x" * 100000)
    link = tmp_path / "overlay2"
    link.symlink_to(tmp_path / "there")
    assert trees.tree_size(str(link)) < 100000
    trees.remove_tree(str(link))
    assert not link.is_symlink()
    assert (tmp_path / "there" / "data").exists()


def test_what_is_not_there_is_no_failure(tmp_path):
    trees.remove_tree(str(tmp_path / "overlay2"))
    trees.remove_tree(str(tmp_path / "no" / "overlay2"))


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from("ab"), min_size=1, max_size=4), st.sampled_from(["file", "folder", "link", "fifo"]))
    )
)
def test_whatever_a_container_left_goes_and_nothing_else(tmp_path_factory, entries):
    base = tmp_path_factory.mktemp("trees")
    (base / "outside").mkdir()
    (base / "outside" / "file").write_text("precious")
    for path, kind in [(base.joinpath("tree", *names), kind) for names, kind in entries]:
        if path.exists() or path.is_symlink() or not make_parents(path.parent, base):
            continue
        make = {
            "file": path.touch,
            "folder": path.mkdir,
            "link": lambda path=path: path.symlink_to(base / "outside"),
            "fifo": lambda path=path: os.mkfifo(str(path)),
        }
        make[kind]()
    trees.remove_tree(str(base / "tree"))
    assert sorted(path.name for path in base.rglob("*")) == ["file", "outside"]


def make_parents(path, base):
    """Make folders below a base; False when something else stands in their place."""
    for one in [*list(path.relative_to(base).parents)[-2::-1], path.relative_to(base)]:
        if (base / one).is_symlink() or ((base / one).exists() and not (base / one).is_dir()):
            return False
        (base / one).mkdir(exist_ok=True)
    return True


@pytest.fixture
def swept(tmp_path):
    """The folder of a test, emptied by a program that manages any depth: pytest does not."""
    yield tmp_path
    subprocess.run(["rm", "-rf", str(tmp_path / "tree")], check=True)


def test_folders_deeper_than_any_path_or_stack_are_counted_and_go(swept):
    tmp_path = swept
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "z").write_bytes(b"x" * 100000)
    flat = trees.tree_size(str(tmp_path / "tree"))
    folder = os.open(str(tmp_path / "tree"), os.O_RDONLY)
    for _level in range(3000):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    deepest = os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=folder)
    os.write(deepest, b"x" * 500000)
    os.close(deepest)
    os.close(folder)
    open_before = len(os.listdir("/proc/self/fd"))
    asked = {"stdout": subprocess.PIPE, "universal_newlines": True, "check": True}
    counted = int(subprocess.run(["du", "-s", "-B512", str(tmp_path / "tree")], **asked).stdout.split()[0])
    assert trees.tree_size(str(tmp_path / "tree")) == counted * 512 > flat + 500000 > 600000
    trees.remove_tree(str(tmp_path / "tree"))
    assert not (tmp_path / "tree").exists()
    assert len(os.listdir("/proc/self/fd")) == open_before


@pytest.mark.parametrize("what", ["gone", "moved", "renamed"])
def test_what_changes_meanwhile_does_not_end_the_count(tmp_path, monkeypatch, what):
    for name in ("tree/a/b/c", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    real, done = trees.level, []

    def change(name, descriptor):
        found = real(name, descriptor)
        if name == "b" and not done:
            folder = tmp_path / "tree" / "a" / "b"
            done.append(
                {
                    "gone": (folder / "c").rmdir,
                    "moved": lambda: folder.rename(tmp_path / "elsewhere" / "b"),
                    "renamed": lambda: folder.rename(folder.parent / "x"),
                }[what]()
            )
        return found

    monkeypatch.setattr(trees, "level", change)
    open_before = len(os.listdir("/proc/self/fd"))
    assert trees.tree_size(str(tmp_path / "tree")) >= 0
    assert done
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(tmp_path, monkeypatch):
    for name in ("tree/a/b", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "outside" / "file").write_text("precious")
    real, swapped = trees.level, []

    def swap(name, descriptor):
        found = real(name, descriptor)
        if name == "a" and not swapped:
            swapped.append((tmp_path / "tree" / "a" / "b").rename(tmp_path / "moved"))
            (tmp_path / "tree" / "a" / "b").symlink_to(tmp_path / "outside")
        return found

    monkeypatch.setattr(trees, "level", swap)
    trees.remove_tree(str(tmp_path / "tree"))
    assert not (tmp_path / "tree").exists()
    assert (tmp_path / "outside" / "file").read_text() == "precious"


def test_a_folder_that_is_moved_away_meanwhile_ends_the_removal(tmp_path, monkeypatch):
    for name in ("tree/a/b", "elsewhere/keep"):
        (tmp_path / name).mkdir(parents=True)
    real = trees.level

    def move(name, descriptor):
        if name == "b":
            (tmp_path / "tree" / "a" / "b").rename(tmp_path / "elsewhere" / "b")
        return real(name, descriptor)

    monkeypatch.setattr(trees, "level", move)
    with pytest.raises(OSError, match="the folder that held it was renamed meanwhile: '%s/tree/a/b'" % tmp_path):
        trees.remove_tree(str(tmp_path / "tree"))
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["b", "keep"]


# Real mounts, in a mount namespace of their own. What is mounted after the first look is mounted from within it.
SCRIPT = """
import os, subprocess
from module_utils.direct_lvm.host import trees
from module_utils.direct_lvm.model.errors import Refused
base = {base!r}
def mount(*words):
    subprocess.run(["mount", *words], check=True)
def remove():
    try:
        trees.remove_tree(base + "/tree")
        print("removed")
    except Refused as refusal:
        print("refused:", refusal.way_out.replace(base, "BASE"))
def meanwhile(*words):
    look = trees.mounts
    def late(path):
        found = look(path)
        mount(*words)
        return found
    trees.mounts = late
{do}
print(sorted(os.listdir(base + "/other")))
"""
MOUNTED = {
    "a-bind-mount-from-before": (
        "mount('--bind', base + '/other', base + '/tree/b/m'); remove()",
        "refused: .*umount BASE/tree/b/m",
    ),
    "a-bind-mount-since": ("meanwhile('--bind', base + '/other', base + '/tree/b/m'); remove()", "refused: .*umount BASE/tree/b/m"),
    "another-file-system-since": (
        "meanwhile('-t', 'tmpfs', 'none', base + '/tree/b/m'); remove()",
        "refused: .*umount BASE/tree/b/m",
    ),
    "a-file-that-is-mounted-on-since": (
        "meanwhile('--bind', base + '/other/file', base + '/tree/b/f'); remove()",
        "refused: .*umount BASE/tree/b/f",
    ),
    "itself": (
        "mount('--bind', base + '/tree', base + '/tree'); remove(); print(os.listdir(base + '/tree'))",
        r"removed\n\[\]",
    ),
    "itself-and-one-in-it-since": (
        "mount('--bind', base + '/tree', base + '/tree'); meanwhile('--bind', base + '/other', base + '/tree/b/m'); remove()",
        "refused: .*umount BASE/tree/b/m",
    ),
    "nothing": ("remove()", "removed"),
}


@pytest.mark.parametrize("case", MOUNTED)
def test_what_is_mounted_in_a_tree_stays_whenever_it_was_mounted(tmp_path, case):
    do, told = MOUNTED[case]
    own = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*own, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("this host lets nobody make a mount namespace")
    for name in ("tree/a", "tree/b/m", "other"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("tree/a/x", "tree/b/f", "other/file"):
        (tmp_path / name).write_text("x")
    root = str(pathlib.Path(__file__).resolve().parents[3])
    argv = [*own, sys.executable, "-c", SCRIPT.format(base=str(tmp_path), do=do)]
    done = subprocess.run(argv, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "['file']", done.stdout  # nothing of the other side was lost
    assert re.fullmatch(told, "\n".join(lines[:-1])), done.stdout


def test_the_paths_are_quoted_as_the_shell_reads_them(tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "mounts", lambda path: (path, path + "/x y", path + "/x y/z"))
    (tmp_path / "tree").mkdir()
    with pytest.raises(Refused) as refusal:
        trees.remove_tree(str(tmp_path / "tree"))
    words = shlex.split(refusal.value.way_out.partition(": ")[2])
    assert words == ["umount", str(tmp_path / "tree/x y/z"), str(tmp_path / "tree/x y")]
