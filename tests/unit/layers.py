"""Trees to make writable layers and root file systems of, and all that can be seen of them."""

import hashlib
import os
import stat
import struct
import subprocess

from module_utils.direct_lvm.host.writable_layer import apply_layer, check_layer

OPAQUE = "trusted.overlay.opaque"
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)  # v2, effective: cap_net_bind_service
SECOND = 10**9


def acl(group):
    """A POSIX ACL as an xattr: owner rwx, user 7 r-x, group, mask rwx, others nothing. See linux/posix_acl_xattr.h."""
    none = 0xFFFFFFFF
    entries = ((1, 7, none), (2, 5, 7), (4, group, none), (16, 7, none), (32, 0, none))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def why_none_can_be_made(folder):
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
