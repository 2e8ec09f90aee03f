"""A container's writable layer on a root file system: row by row, interrupted, hostile, and any."""

import errno
import hashlib
import os
import resource
import shutil
import stat
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layers import OPAQUE, Tree, applied, copied, everything, manifest

from module_utils.direct_lvm.host import files, writable_layer
from module_utils.direct_lvm.host.writable_layer import apply_layer, check_layer
from module_utils.direct_lvm.model.errors import Refused

pytestmark = pytest.mark.usefixtures("layers_can_be_made")

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


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE, errno.ENOTDIR, errno.EACCES])
def test_a_look_begins_again_where_a_container_removes_its_files_meanwhile(monkeypatch, number):
    looks = []

    def entries(layer):
        looks.append(layer)
        yield "a folder"
        if len(looks) < 3:
            raise OSError(number, "went")

    monkeypatch.setattr(writable_layer, "entries", entries)
    if number == errno.EACCES:
        with pytest.raises(OSError, match="went"):
            check_layer("/x")
    else:
        check_layer("/x")
        assert len(looks) == 3
