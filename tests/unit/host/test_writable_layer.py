"""A container's writable layer on a root file system: by hand, against what the kernel's overlay shows, and hostile."""

import errno
import hashlib
import os
import resource
import shutil
import stat
import struct
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from module_utils.direct_lvm.host import files, writable_layer
from module_utils.direct_lvm.host.writable_layer import apply_layer, check_layer
from module_utils.direct_lvm.model.errors import Refused

OPAQUE = "trusted.overlay.opaque"
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)  # v2, effective: cap_net_bind_service
SECOND = 10**9


def acl(group):
    """A POSIX ACL as an xattr: owner rwx, user 7 r-x, group, mask rwx, others nothing. See linux/posix_acl_xattr.h."""
    none = 0xFFFFFFFF
    entries = ((1, 7, none), (2, 5, 7), (4, group, none), (16, 7, none), (32, 0, none))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def can_make_layers(folder):
    """Why layers cannot be made in a folder, "" when they can."""
    try:
        os.mknod(str(folder / "device"), stat.S_IFCHR, 0)
        os.setxattr(str(folder / "device"), "trusted.probe", b"1")
        os.unlink(str(folder / "device"))
        (folder / "file").touch()
        os.setxattr(str(folder / "file"), "user.probe", b"1")
        os.setxattr(str(folder / "file"), "system.posix_acl_access", acl(5))
        os.unlink(str(folder / "file"))
    except OSError as error:
        return "devices, or xattrs of all kinds, cannot be made here: %s" % error
    return ""


@pytest.fixture(scope="module", autouse=True)
def _layers_can_be_made(tmp_path_factory):
    reason = can_make_layers(tmp_path_factory.mktemp("probe"))
    if reason:
        pytest.skip(reason)


class Tree:
    """A folder whose content is made with few words."""

    def __init__(self, path):
        path.mkdir()
        self.path = os.fsencode(str(path))

    def at(self, name):
        """The path of a name in it, whose folders are there then."""
        path = os.path.join(self.path, os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def file(self, name, content=b"", mode=0o644, owner=(0, 0)):
        with open(self.at(name), "wb") as stream:
            stream.write(content)
        os.chown(self.at(name), *owner)
        os.chmod(self.at(name), mode)
        return self

    def folder(self, name, opaque=False, mode=0o755, owner=(0, 0)):
        os.makedirs(self.at(name), exist_ok=True)
        os.chown(self.at(name), *owner)
        os.chmod(self.at(name), mode)
        return self.xattr(name, OPAQUE, b"y") if opaque else self

    def xattr(self, name, key, value=b"1"):
        os.setxattr(self.at(name), key, value, follow_symlinks=False)
        return self

    def deletion(self, name):
        return self.node(name, stat.S_IFCHR, 0)

    def node(self, name, kind, device=0, mode=0o644):
        os.mknod(self.at(name), kind, device)
        os.chmod(self.at(name), mode)
        return self

    def link(self, name, target):
        os.symlink(os.fsencode(target), self.at(name))
        return self

    def hard(self, name, other):
        os.link(self.at(other), self.at(name), follow_symlinks=False)
        return self

    def sparse(self, name, size, *parts):
        with open(self.at(name), "wb") as stream:
            for start in parts:
                stream.seek(start)
                stream.write(b"x" * 4096)
            stream.truncate(size)
        return self

    def touch(self, name, moment):
        os.utime(self.at(name), ns=(moment, moment), follow_symlinks=False)
        return self


def manifest(path, times=True):
    """{name: all that can be seen of it} of a folder and everything in it. Times of folders too, unless they are of no interest."""
    found, groups = {}, {}
    for place, folders, names in os.walk(os.fsencode(str(path))):
        for name in [b"."] * (place == os.fsencode(str(path))) + folders + names:
            one = os.path.join(place, name)
            found[os.path.relpath(one, os.fsencode(str(path)))] = seen(one, groups, times)
    for names in groups.values():
        for name in names:
            found[os.path.relpath(name, os.fsencode(str(path)))]["names"] = len(names)
    return found


def seen(one, groups, times):
    """What can be seen of one path."""
    status = os.lstat(one)
    mode = status.st_mode
    groups.setdefault((status.st_dev, status.st_ino), []).append(one)
    about = {"mode": mode, "owner": (status.st_uid, status.st_gid)}
    about["xattrs"] = {name: os.getxattr(one, name, follow_symlinks=False) for name in os.listxattr(one, follow_symlinks=False)}
    if times:
        about["mtime"] = status.st_mtime_ns
    if stat.S_ISREG(mode):
        with open(one, "rb") as stream:
            content = stream.read()
        about["content"] = len(content), hashlib.sha256(content).hexdigest()
        about["sparse"] = status.st_blocks * 512 < len(content) // 2
    elif stat.S_ISLNK(mode):
        about["target"] = os.readlink(one)
    elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        about["device"] = status.st_rdev
    return about


@pytest.fixture
def trees(tmp_path):
    """(what is below, the layer, a root file system that is a copy of what is below)."""
    return Tree(tmp_path / "below"), Tree(tmp_path / "diff"), tmp_path / "root"


def copied(below, root):
    """The root file system that holds what is below."""
    subprocess.run(["cp", "-a", below.path, str(root)], check=True)


def applied(below, layer, root, times=False):
    """The manifest of the root file system after the layer was applied, twice. It leaves no descriptor open."""
    copied(below, root)
    before = len(os.listdir("/proc/self/fd"))
    check_layer(os.fsdecode(layer.path))
    apply_layer(os.fsdecode(layer.path), str(root))
    assert len(os.listdir("/proc/self/fd")) == before
    once = manifest(root)
    apply_layer(os.fsdecode(layer.path), str(root))
    assert manifest(root) == once
    return once if times else manifest(root, times=False)


def everything(below, layer):
    """Fill two trees with every case there is."""
    for name in ("gone", "changed", "kept", "to-folder", "to-link", "lower-a"):
        below.file(name, b"below " + name.encode())
    below.hard("lower-b", "lower-a").hard("lower-c", "lower-a")
    below.folder("merged", mode=0o700).file("merged/kept", b"kept").file("merged/gone", b"gone")
    below.xattr("merged", "user.below").touch("merged", 5 * SECOND)
    below.folder("opaque").file("opaque/hidden", b"h").file("opaque/deep/er/hidden", b"h").file("opaque/again", b"old")
    below.folder("gone-folder").file("gone-folder/a/b", b"x").link("gone-folder/out", "/")
    below.folder("to-file").file("to-file/a/b", b"x")
    below.folder("to-link-folder").file("to-link-folder/a", b"x")
    below.link("link-to-folder", "merged").link("link-changed", "a").node("fifo-gone", stat.S_IFIFO)
    below.folder("only-below/deep").file("only-below/deep/file", b"x").touch("only-below/deep", 7 * SECOND)
    below.xattr("changed", "user.gone").folder("untouched").touch("untouched", 8 * SECOND + 8)

    layer.deletion("gone").deletion("gone-folder").deletion("merged/gone").deletion("fifo-gone").deletion("was-never-there")
    layer.file("changed", b"new", mode=0o6755, owner=(1000, 1001)).touch("changed", 1234567890 * SECOND + 123456789)
    layer.xattr("changed", "security.capability", CAPABILITY).xattr("changed", "user.note", b"\x00\xff")
    layer.xattr("changed", "trusted.overlay.origin", b"").xattr("changed", "trusted.mine", b"")
    layer.folder("merged", mode=0o2775, owner=(3, 4)).file("merged/new", b"n").xattr("merged", "trusted.overlay.impure", b"y")
    layer.folder("opaque", opaque=True, mode=0o1777).file("opaque/again", b"fresh").folder("opaque/empty")
    layer.file("to-file", b"file now").link("to-link-folder", "kept").link("to-link", "kept").folder("to-folder/in")
    layer.folder("link-to-folder").file("link-to-folder/file", b"x").link("link-changed", "b" * 200)
    layer.file("lower-b", b"a name of three, copied up: no link any more")
    layer.file("first", b"linked", mode=0o4711).hard("merged/second", "first").hard("opaque/third", "first")
    layer.link("link-first", "x").hard("link-second", "link-first").node("fifo", stat.S_IFIFO, mode=0o1622)
    layer.hard("fifo-second", "fifo").node("socket", stat.S_IFSOCK, mode=0o777).node("block-0-0", stat.S_IFBLK, 0)
    layer.node("null", stat.S_IFCHR, os.makedev(1, 3), mode=0o666).node("disk", stat.S_IFBLK, os.makedev(259, 1048575), mode=0o4660)
    for name in ("link-first", "fifo", "socket", "null", "merged"):
        layer.xattr(name, "trusted.of-a-node", b"1").xattr(name, "security.selinux", b"system_u:object_r:container_file_t:s0\0")
        os.chown(layer.at(name), 12, 13, follow_symlinks=False)
    layer.sparse("sparse", 8 << 20, 0, 4 << 20).sparse("hole", 1 << 20).sparse("hole-last", (1 << 20) + 5, 8192).file("empty")
    layer.sparse("data-last", 1 << 20, (1 << 20) - 4096).file("large", os.urandom(3 << 20))
    layer.file("acl", b"x").xattr("acl", "system.posix_acl_access", acl(5))
    layer.folder("inherits/deep").file("inherits/plain", b"no ACL").file("inherits/with", b"x").node("inherits/fifo", stat.S_IFIFO)
    layer.xattr("inherits", "system.posix_acl_default", acl(7)).xattr("inherits/with", "system.posix_acl_access", acl(4))
    layer.xattr("inherits", "user.overlay.opaque", b"y").xattr("inherits", "trusted.overlay.overlay.opaque", b"y")
    layer.file(b"\xff\xfe\n-", b"x").file("-rf", b"x").file("merged/\t;$(reboot)", b"x").file(".wh.kept", b"x").deletion(b"\xfd")
    layer.file("n" * 255, b"x").file("no-mode", b"x", mode=0)
    for number, name in enumerate(("link-first", "fifo", "opaque", "merged", "sparse", "inherits/deep", "inherits", ".")):
        layer.touch(name, (1000000000 + number) * SECOND + 999999990 + number)
    layer.folder("only-below").touch("only-below", 42).touch("empty", -5 * SECOND)


@pytest.fixture
def overlay(trees, tmp_path):
    """A function that mounts the kernel's overlay of the two trees, and returns its folder. It is gone afterwards."""
    merged = tmp_path / "merged"

    def mount(options="index=off,redirect_dir=off,metacopy=off"):
        (tmp_path / "work").mkdir()
        merged.mkdir()
        layers = "lowerdir=%s,upperdir=%s,workdir=%s" % (*(os.fsdecode(tree.path) for tree in trees[:2]), tmp_path / "work")
        line = ["mount", "-t", "overlay", "overlay", "-o", layers + "," + options, str(merged)]
        tried = subprocess.run(line, stderr=subprocess.PIPE)
        if tried.returncode:
            pytest.skip("no overlay can be mounted here: %s" % tried.stderr.decode())
        return merged

    try:
        yield mount
    finally:
        if merged.exists() and os.path.ismount(str(merged)):
            subprocess.run(["umount", str(merged)], check=True)


def test_it_is_what_the_kernels_overlay_shows(trees, overlay):
    everything(*trees[:2])
    result = applied(*trees, times=True)
    expected = manifest(overlay())
    for name in (b"lower-a", b"lower-c"):  # the kernel tells two names' numbers apart, the one that was copied up is none of them
        assert result[name]["names"] == 2
    assert {name: result[name] for name in result if result.get(name) != expected.get(name)} == {}
    assert result.keys() == expected.keys()


def test_it_is_what_the_kernels_overlay_wrote(trees, overlay, tmp_path):
    """Changed through the mount, as a container does it; then compared with what the mount shows."""
    below, _layer, _root = trees
    everything(below, Tree(tmp_path / "unused"))
    merged = overlay()
    script = """
        set -e
        rm -r gone merged/gone gone-folder to-file; rm -r opaque; mkdir opaque; echo 1 >opaque/new
        echo x >to-file; mv kept renamed; chmod 600 changed; chown 5:6 only-below/deep/file; ln lower-b merged/hard; ln -s x link
        mkfifo f; mknod n c 1 3; truncate -s 1M hole; rm link-to-folder; mkdir link-to-folder; touch link-to-folder/x
        cp -a only-below new-folder; rm -r only-below; mkdir only-below; touch -d @99 only-below
        mv new-folder moved; mkdir t; mv t untouched/t; rm -r merged; mkdir -m 700 merged
    """
    subprocess.run(["sh", "-c", script], cwd=str(merged), check=True)
    expected = manifest(merged)
    subprocess.run(["umount", str(merged)], check=True)
    assert applied(*trees, times=True) == expected


def test_the_way_out_ends_what_the_kernels_overlay_knows_by_reference(trees, overlay):
    """A folder renamed, files with changed metadata, one of them renamed too: refused until done what the refusal says."""
    below, layer, root = trees
    below.file("d/f", b"in a folder").file("f", b"changed").file("g", b"renamed")
    merged = overlay("index=off,redirect_dir=on,metacopy=on")
    script = "mv d 'e f'; chmod 600 f; mv g h; if ! chattr +i h; then touch no-chattr; fi"
    subprocess.run(["sh", "-c", script], cwd=str(merged), check=True)
    refused = []
    for _time in range(9):
        try:
            check_layer(os.fsdecode(layer.path))
        except Refused as refusal:
            refused.append(refusal.what.split("(")[-1])
            line = refusal.way_out.split(": ", 1)[1]
            for name in ("/e f", "/f", "/h"):
                line = (
                    line.replace(" '%s'" % name, " '.%s'" % name).replace(" " + name, " ." + name).replace(">" + name, ">." + name)
                )
            subprocess.run(["sh", "-c", line], cwd=str(merged), check=True)
        else:
            break
    assert {"trusted.overlay.redirect).", "trusted.overlay.metacopy)."} <= set(refused)
    expected = manifest(merged)
    subprocess.run(["umount", str(merged)], check=True)
    assert applied(below, layer, root, times=True) == expected


CASES = {
    "a deletion": (lambda b: b.file("a"), lambda u: u.deletion("a"), {}),
    "a deletion of what was never there": (lambda b: b, lambda u: u.deletion("a"), {}),
    "a deletion that is a file": (
        lambda b: b.file("a").file("b"),
        lambda u: u.xattr(".", OPAQUE, b"x").file("a").xattr("a", "trusted.overlay.whiteout", b"y"),
        {"b": b""},
    ),
    "a file with content is no deletion": (
        lambda b: b.file("a"),
        lambda u: u.file("a", b"x").xattr("a", "trusted.overlay.whiteout", b"y"),
        {"a": b"x"},
    ),
    "a folder is deleted with links out of it": (
        lambda b: b.file("d/e/f").link("d/out", "../kept").file("kept/a", b"k"),
        lambda u: u.deletion("d"),
        {"kept/a": b"k"},
    ),
    "an opaque folder": (lambda b: b.file("d/e/f").file("d/g"), lambda u: u.folder("d", True).file("d/h", b"h"), {"d/h": b"h"}),
    "an opaque folder over a file": (lambda b: b.file("d"), lambda u: u.folder("d", True).file("d/h", b"h"), {"d/h": b"h"}),
    "a deletion in an opaque folder": (lambda b: b.file("d/a"), lambda u: u.folder("d", True).deletion("d/a"), {}),
    "the top folder is merged whatever it says": (lambda b: b.file("a", b"a"), lambda u: u.folder(".", True), {"a": b"a"}),
    "a file where a folder was": (lambda b: b.file("a/b/c"), lambda u: u.file("a", b"new"), {"a": b"new"}),
    "a folder where a file was": (lambda b: b.file("a"), lambda u: u.file("a/b", b"new"), {"a/b": b"new"}),
    "a file where a link was": (
        lambda b: b.link("a", "kept").file("kept", b"k"),
        lambda u: u.file("a", b"new"),
        {"a": b"new", "kept": b"k"},
    ),
    "a folder where a link to one was": (
        lambda b: b.link("a", "kept").file("kept/b", b"k"),
        lambda u: u.file("a/b", b"new"),
        {"a/b": b"new", "kept/b": b"k"},
    ),
    "one of two names changed": (
        lambda b: b.file("a", b"old").hard("b", "a"),
        lambda u: u.file("a", b"new"),
        {"a": b"new", "b": b"old"},
    ),
    "aufs's way to delete means nothing": (lambda b: b.file("a", b"a"), lambda u: u.file(".wh.a"), {"a": b"a", ".wh.a": b""}),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_what_files_are_there_afterwards(trees, case):
    below, layer, root = trees
    fill_below, fill_layer, expected = CASES[case]
    fill_below(below)
    fill_layer(layer)
    found = applied(below, layer, root)
    digests = {name: about["content"][1] for name, about in found.items() if "content" in about}
    assert digests == {os.fsencode(name): hashlib.sha256(content).hexdigest() for name, content in expected.items()}


REFUSED = {
    "a folder that was renamed by reference": (
        lambda u: u.folder("a b/c").xattr("a b/c", "trusted.overlay.redirect", b"/x"),
        "/a b/c",
    ),
    "a file whose content is below": (lambda u: u.file("d/f").xattr("d/f", "trusted.overlay.metacopy", b""), "/d/f"),
    "that and renamed": (
        lambda u: u.file("f").xattr("f", "trusted.overlay.metacopy", b"").xattr("f", "trusted.overlay.redirect", b"/g"),
        "/f has changed metadata only",
    ),
    "an immutable file": (lambda u: u.file("f").xattr("f", "trusted.overlay.protattr", b"i"), "/f is immutable"),
    "a record of a later kernel": (lambda u: u.file("f").xattr("f", "trusted.overlay.later", b""), "/f has a record"),
    "a value of a later kernel": (lambda u: u.folder("f").xattr("f", OPAQUE, b"z"), "/f has a record"),
    "the top folder": (lambda u: u.xattr(".", "trusted.overlay.redirect", b"/x"), " / was renamed"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_cannot_come_is_refused_by_its_path_in_the_container(trees, case):
    fill, words = REFUSED[case]
    fill(trees[1].file("z", b"told before"))
    with pytest.raises(Refused, match=words) as refusal:
        check_layer(os.fsdecode(trees[1].path))
    assert os.fsdecode(trees[1].path) not in str(refusal.value)
    copied(trees[0], trees[2])
    with pytest.raises(Refused, match=words):
        apply_layer(os.fsdecode(trees[1].path), str(trees[2]))


def test_the_way_out_is_for_a_shell(trees):
    trees[1].folder("a b").xattr("a b", "trusted.overlay.redirect", b"/x")
    with pytest.raises(Refused) as refusal:
        check_layer(os.fsdecode(trees[1].path))
    assert refusal.value.way_out.endswith(": cp -a '/a b' '/a b'.new && rm -r '/a b' && mv '/a b'.new '/a b'")


def test_what_metacopy_left_on_a_file_means_nothing(trees):
    trees[1].file("f", b"x").xattr("f", "trusted.overlay.redirect", b"/g")
    assert applied(*trees)[b"f"]["xattrs"] == {}


def test_what_a_kill_left_half_done_is_no_matter(trees, monkeypatch):
    below, layer, root = trees
    everything(below, layer)
    expected = applied(*trees, times=True)
    names = ("unlink", "mkdir", "mknod", "symlink", "link", "ftruncate", "sendfile", "chown", "chmod", "setxattr", "utime", "rmdir")
    for number in range(0, 400, 9):
        shutil.rmtree(str(root))
        copied(below, root)
        with monkeypatch.context() as patch:
            calls = dying(patch, names, number)
            try:
                apply_layer(os.fsdecode(layer.path), str(root))
            except KeyboardInterrupt:
                pass
            else:
                assert calls[0] <= number
        apply_layer(os.fsdecode(layer.path), str(root))
        assert manifest(root) == expected
        if calls[0] <= number:
            return
    raise AssertionError("it never came to its end")


def dying(patch, names, number):
    """Have the call of that number raise KeyboardInterrupt, before it or after it. The count of calls, in a list."""
    calls = [0]

    def dies(real):
        def call(*words, **options):
            calls[0] += 1
            if calls[0] == number + 1:
                if number % 2:
                    real(*words, **options)
                raise KeyboardInterrupt
            return real(*words, **options)

        return call

    for name in names:
        patch.setattr(writable_layer.os, name, dies(getattr(os, name)))
    return calls


@pytest.mark.parametrize(
    "name", [b"a;reboot", b"a\nb", b"-rf", b"\xff\xfe", b"\x1b[2J", b"..a", b" ", b"n" * 255, b"*", "ä".encode()]
)
def test_names_are_bytes(trees, name):
    below, layer, root = trees
    below.file(name, b"old").file(b"d/" + name + b"/x").file(b"o/" + name).link(b"l/" + name, "../d").file(b"g/" + name)
    layer.file(name, b"new").folder(b"d/" + name, opaque=True).folder("o", opaque=True).file(b"l/" + name + b"/" + name, b"in")
    layer.hard(b"hard-" + name[:200], name).deletion(b"g/" + name)
    found = applied(below, layer, root)
    inner = os.path.join(b"l", name)
    names = {b".", name, b"d", os.path.join(b"d", name), b"o", b"l", inner, os.path.join(inner, name), b"hard-" + name[:200], b"g"}
    assert set(found) == names


@pytest.mark.parametrize("kind", ["folder", "file", "opaque", "deletion", "link"])
@pytest.mark.parametrize("absolute", [True, False])
def test_nothing_is_written_through_a_link(trees, tmp_path, kind, absolute):
    """In the root file system and in the layer: what is outside stays as it is."""
    below, layer, root = trees
    outside = Tree(tmp_path / "outside").file("x", b"precious", mode=0o600).file("d/x", b"precious").touch("d", 5).touch(".", 5)
    target = str(tmp_path / "outside") if absolute else "../outside"
    before = manifest(tmp_path / "outside")
    below.link("a", target).link("b", target + "/x").file("c/x", b"x")
    layer.link("c", target)
    for name in ("a", "b"):
        {
            "folder": lambda name: layer.folder(name, mode=0o777).deletion(name + "/x").file(name + "/d/x", b"evil"),
            "file": lambda name: layer.file(name, b"evil", mode=0o777, owner=(1, 1)),
            "opaque": lambda name: layer.folder(name, opaque=True).file(name + "/x", b"evil"),
            "deletion": layer.deletion,
            "link": lambda name: layer.link(name, target).touch(name, 7),
        }[kind](name)
    applied(below, layer, root)
    assert manifest(tmp_path / "outside") == before
    assert outside.path


def deep_folder(tree):
    """The descriptor of a folder 300 deep in a tree, by names of 100 bytes: no path is that long."""
    place = os.open(tree.path, files.FOLDER)
    for number in range(300):
        name = "%03d" % number + "n" * 97
        os.mkdir(name, dir_fd=place)
        inner = os.open(name, files.FOLDER, dir_fd=place)
        os.close(place)
        place = inner
    return place


def test_folders_may_be_deeper_than_descriptors_and_paths_go(tmp_path):
    """A hard link, a deletion, an opaque folder and a time at the bottom."""
    root, layer = Tree(tmp_path / "root"), Tree(tmp_path / "diff")
    below, bottom = deep_folder(root), deep_folder(layer)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        os.mkdir("gone", dir_fd=below)
        os.mkdir("opaque", dir_fd=below)
        os.mknod("opaque/hidden", stat.S_IFREG, dir_fd=below)
        os.mknod("gone", stat.S_IFCHR, 0, dir_fd=bottom)
        os.mkdir("opaque", dir_fd=bottom)
        os.setxattr("/proc/self/fd/%d/opaque" % bottom, OPAQUE, b"y")
        os.mknod("fifo", stat.S_IFIFO | 0o600, dir_fd=bottom)
        os.link("fifo", "again", src_dir_fd=bottom, dst_dir_fd=bottom)
        os.utime("/proc/self/fd/%d" % bottom, ns=(5, 5))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 12, hard))
        check_layer(os.fsdecode(layer.path))
        for _time in range(2):
            apply_layer(os.fsdecode(layer.path), os.fsdecode(root.path))
            assert sorted(os.listdir(below)) == ["again", "fifo", "opaque"]
            assert os.stat("fifo", dir_fd=below).st_nlink == 2
            assert os.fstat(below).st_mtime_ns == 5
            assert os.listdir("/proc/self/fd/%d/opaque" % below) == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(below)
        os.close(bottom)
        subprocess.run(["rm", "-rf", str(tmp_path)], check=True)  # pytest's own way does not get that deep


def test_the_file_that_finds_no_room_is_named(trees, monkeypatch):
    below, layer, root = trees
    layer.file("d/large", b"x" * 100000)
    copied(below, root)

    def full(*_words):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writable_layer.os, "sendfile", full)
    with pytest.raises(OSError, match="No space left") as failure:
        apply_layer(os.fsdecode(layer.path), str(root))
    assert failure.value.filename == str(root / "d" / "large")


@pytest.mark.parametrize("change", ["shorter", "longer"])
def test_a_file_that_changes_meanwhile_is_no_copy(trees, monkeypatch, change):
    below, layer, root = trees
    layer.file("a", b"x" * 100000)
    copied(below, root)
    real = os.sendfile

    def changing(*words):
        os.truncate(layer.at("a"), {"shorter": 10, "longer": 200000}[change])
        return real(*words)

    monkeypatch.setattr(writable_layer.os, "sendfile", changing)
    with pytest.raises(OSError, match="changed while it was copied"):
        apply_layer(os.fsdecode(layer.path), str(root))


def test_a_large_file_goes_in_several_parts(trees, monkeypatch):
    monkeypatch.setattr(writable_layer, "CHUNK", 4096)
    trees[1].file("a", bytes(range(256)) * 1000)
    with open(trees[1].at("a"), "rb") as stream:
        assert applied(*trees)[b"a"]["content"][1] == hashlib.sha256(stream.read()).hexdigest()


NAMES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)
KINDS = st.sampled_from(["file", "folder", "link", "fifo", "opaque", "deletion"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture] if hasattr(HealthCheck, "function_scoped_fixture") else [])
@given(st.lists(st.tuples(NAMES, KINDS), max_size=12), st.lists(st.tuples(NAMES, KINDS), max_size=12))
def test_any_layer_on_any_root_is_what_two_dictionaries_say(tmp_path_factory, lower, upper):
    """The model: {path: kind} of both trees, the upper one over the lower one, less what an upper name hides."""
    base = tmp_path_factory.mktemp("layers")
    below, layer, root = Tree(base / "below"), Tree(base / "diff"), base / "root"
    lower_kinds = filled(below, [(name, kind) for name, kind in lower if kind not in ("opaque", "deletion")])
    upper_kinds = filled(layer, upper)
    expected = {
        name: kind
        for name, kind in lower_kinds.items()
        if name not in upper_kinds and all(upper_kinds.get(above, "folder") == "folder" for above in parents(name))
    }
    expected.update((name, {"opaque": "folder"}.get(kind, kind)) for name, kind in upper_kinds.items() if kind != "deletion")
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo"}
    found = applied(below, layer, root)
    assert {os.fsdecode(name): kinds[stat.S_IFMT(about["mode"])] for name, about in found.items() if name != b"."} == expected
    shutil.rmtree(str(base))


def filled(tree, entries):
    """Make in a tree what can be made in that order. {path: kind} of all that is in it."""
    made = {}
    for name, kind in entries:
        if name in made or any(made.get(above, "folder") not in ("folder", "opaque") for above in parents(name)):
            continue
        for above in parents(name):
            made.setdefault(above, "folder")
        made[name] = kind
        {
            "file": tree.file,
            "folder": tree.folder,
            "link": lambda name: tree.link(name, "/"),
            "fifo": lambda name: tree.node(name, stat.S_IFIFO),
            "opaque": lambda name: tree.folder(name, opaque=True),
            "deletion": tree.deletion,
        }[kind](name)
    return made


def parents(name):
    """The folders on the way to a name."""
    parts = name.split("/")
    return ["/".join(parts[:number]) for number in range(1, len(parts))]
