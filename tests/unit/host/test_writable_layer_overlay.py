"""A container's writable layer on a root file system is what the kernel's overlay shows."""

import os
import subprocess

import pytest
from layers import Tree, applied, everything, manifest

from module_utils.direct_lvm.host.writable_layer import check_layer
from module_utils.direct_lvm.model.errors import Refused

pytestmark = pytest.mark.usefixtures("layers_can_be_made")


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
