"""Image archives: those that are whole verify, and damage of every kind is found and named."""

import contextlib
import io
import json
import os
import tarfile

import pytest
from archives import (
    LAYERS,
    LAYOUTS,
    RECORDED,
    SAVED,
    TAGS,
    TINY,
    config_of,
    content,
    deterministic_gzip,
    dumps,
    oci,
    sha,
    with_layer,
    write_tar,
)
from hypothesis import example, given
from hypothesis import strategies as st

from module_utils.direct_lvm.images import image_archive
from module_utils.direct_lvm.images.image_archive import Damaged
from module_utils.direct_lvm.model.host import Image


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_a_whole_archive_verifies_and_tells_tags_and_layers(name, tmp_path):
    members, image = LAYOUTS[name]
    path = write_tar(tmp_path / "a.tar", members)
    image_archive.verify(path, image)
    assert image_archive.tags_in(path) == tuple(sorted(image.tags))
    layers = [] if name == "classic-no-layers" else LAYERS
    assert image_archive.layers_in(path, image.id) == tuple("sha256:" + sha(layer) for layer in layers)


def test_what_docker_20_10_wrote_verifies():
    image_archive.verify(SAVED, TINY)
    assert image_archive.tags_in(SAVED) == ("tiny:2",)
    assert len(image_archive.layers_in(SAVED, TINY.id)) == 4


SAVED_BY_26 = {  # what the same image's archive is called by Docker 26.1.5 with a storage driver, and with containerd's store
    "save-26.1.5.tar": "sha256:52730079daf46016abe4e89c7aa25a1b0abb9dcf6c585e4b86c1c22a9054e913",
    "save-26.1.5-containerd.tar": "sha256:157bcbd05fbdaf1a6e694a0b14f867d734ec3ebd60a56176354a88b43eb589c3",
}


@pytest.mark.parametrize("name", sorted(SAVED_BY_26))
def test_what_docker_26_wrote_verifies_and_tells_the_ids_of_both_stores(name):
    path = os.path.join(RECORDED, name)
    image_archive.verify(path, Image(SAVED_BY_26[name], ("tiny:2",), 6))
    assert sorted(image_archive.ids_in(path)) == sorted(SAVED_BY_26.values())
    assert image_archive.layers_in(path, SAVED_BY_26[name]) == (
        "sha256:eccfda000d61536eda1e778df9b0f7ae08adb20281aace76ae4662331c961342",
    )


def test_large_layers_are_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(image_archive, "PIECE", 1000)
    for pack in (bytes, deterministic_gzip):
        members, image = oci(layers=[os.urandom(5000), b"\0" * 9999], pack=pack)
        image_archive.verify(write_tar(tmp_path / "a.tar", members), image)


# --- archives that are not whole -------------------------------------------------------------------------------


def change(layout, name, data):
    """A layout with one member replaced, or removed when data is None. name: a part of the member's name."""
    members, image = LAYOUTS[layout]
    found = next(each for each in members if name in each)
    return {each: data if each == found else old for each, old in members.items() if not (each == found and data is None)}, image


def entry(**changes):
    """The classic layout with its entry in manifest.json changed."""
    members, _image = LAYOUTS["classic"]
    return change("classic", "manifest.json", dumps([dict(json.loads(members["manifest.json"].decode())[0], **changes)]))


def more(name, data):
    members, image = LAYOUTS["classic"]
    return dict(members, **{name: data}), image


CONFIG = LAYOUTS["classic"][1].id[7:] + ".json"
OTHER = "blobs/sha256/" + LAYOUTS["oci-containerd-index"][1].id[7:]
MANIFEST = "blobs/sha256/" + LAYOUTS["oci-containerd"][1].id[7:]
DAMAGED = {  # name: ((members, image), words of the sentence)
    "layer-missing": (change("classic", "1/layer.tar", None), "1/layer.tar is missing"),
    "layer-that-a-link-leads-to-missing": (change("classic", "0/layer.tar", None), "0/layer.tar is missing"),
    "layer-changed": (with_layer("classic", b"muddle" * 100), "layer 2 of 3 (" + "0" * 63 + "1/layer.tar) is not the one"),
    "layer-shorter": (with_layer("classic", b"middle" * 99), "layer 2 of 3"),
    "layer-empty": (with_layer("classic", b""), "layer 2 of 3"),
    "layer-a-folder-loop": (change("classic", "2/layer.tar", "../" + "0" * 63 + "2/layer.tar"), "leads nowhere"),
    "layer-link-outside": (change("classic", "2/layer.tar", "../../../../etc/passwd"), "is missing"),
    "config-missing": (change("classic", CONFIG, None), CONFIG + " is missing"),
    "config-garbage": (change("classic", CONFIG, b"{"), "is not JSON"),
    "config-a-list": (change("classic", CONFIG, b"[]"), "is not a JSON object"),
    "config-of-another-image": (change("classic", CONFIG, config_of(LAYERS[:2])), "it holds image sha256:"),
    "manifest-missing": (change("classic", "manifest.json", None), "manifest.json is missing"),
    "manifest-garbage": (change("classic", "manifest.json", b"\xff\xfe garbage"), "manifest.json is not JSON"),
    "manifest-deep": (change("classic", "manifest.json", b"[" * 100000), "manifest.json is not JSON"),
    "manifest-an-object": (change("classic", "manifest.json", b"{}"), "manifest.json is not a JSON list"),
    "manifest-empty": (change("classic", "manifest.json", b"[]"), "manifest.json names no image"),
    "manifest-of-numbers": (change("classic", "manifest.json", b"[1]"), "manifest.json does not describe images"),
    "manifest-a-link": (change("classic", "manifest.json", "elsewhere"), "manifest.json is missing"),
    "no-config-named": (entry(Config=None), "names None where a file's name should be"),
    "layers-no-list": (entry(Layers="x"), "manifest.json does not describe images"),
    "layers-numbers": (entry(Layers=[1, 2, 3]), "manifest.json does not describe images"),
    "layer-left-out": (entry(Layers=["0" * 64 + "/layer.tar"]), "it has 1 layers, and the image's configuration names 3"),
    "layers-in-another-order": (entry(Layers=["%064x/layer.tar" % number for number in (1, 0, 2)]), "layer 1 of 3"),
    "tag-missing": (entry(RepoTags=["app:1"]), "it names the image app:1, wanted app:1, localhost:5000/team/app:1.0"),
    "tag-too-many": (entry(RepoTags=[*TAGS, "other:1"]), "other:1, wanted"),
    "no-tags": (entry(RepoTags=None), "it names the image nothing, wanted app:1"),
    "name-above-itself": (more("../escape", b"x"), "a member '../escape', outside of itself"),
    "name-absolute": (more("/etc/passwd", b"x"), "a member '/etc/passwd', outside of itself"),
    "name-above-in-the-middle": (more("a/../../escape", b"x"), "outside of itself"),
    "oci-layer-changed": (with_layer("oci-graph-driver", b"muddle" * 100), "layer 2 of 3"),
    "oci-containerd-layer-changed": (with_layer("oci-containerd", b"muddle" * 100), "is not what its name says"),
    "oci-containerd-zstd-layer-changed": (with_layer("oci-containerd-zstd", b"\x28\xb5\x2f\xfdx"), "is not what its name says"),
    "oci-containerd-manifest-missing": (change("oci-containerd", MANIFEST, None), "it holds image"),
    "oci-containerd-manifest-changed": (change("oci-containerd", MANIFEST, b"{}"), "is not what its name says"),
    "oci-containerd-manifest-garbage": (change("oci-containerd", MANIFEST, b"x"), "is not JSON"),
    "oci-index-json-of-another": (change("oci-containerd", "index.json", b'{"manifests": []}'), "index.json does not name"),
    "oci-index-json-garbage": (change("oci-containerd", "index.json", b'{"manifests": [3]}'), "is no sha256 digest"),
    "oci-index-changed": (change("oci-containerd-index", OTHER, b'{"manifests": []}'), "is not what its name says"),
}


@pytest.mark.parametrize("name", sorted(DAMAGED))
def test_a_damaged_archive_is_named_with_what_is_wrong_and_a_way_out(name, tmp_path):
    (members, image), words = DAMAGED[name]
    path = write_tar(tmp_path / "a.tar", members)
    with pytest.raises(Damaged) as raised:
        image_archive.verify(path, image)
    assert raised.value.what.startswith("the image archive %s is damaged: " % path)
    assert words in raised.value.what
    assert raised.value.way_out.endswith("rm " + path)


def test_a_member_that_is_a_device_is_refused(tmp_path):
    path = write_tar(tmp_path / "a.tar", LAYOUTS["classic"][0])
    with tarfile.open(path, "a") as tar:
        member = tarfile.TarInfo("null")
        member.type = tarfile.CHRTYPE
        tar.addfile(member)
    with pytest.raises(Damaged, match="neither a file nor a folder nor a link"):
        image_archive.verify(path, LAYOUTS["classic"][1])


def test_a_sparse_member_is_refused(tmp_path):
    """Docker writes none, and one of a few bytes may stand for petabytes of zeros, which would be read for years."""
    path = write_tar(tmp_path / "a.tar", LAYOUTS["classic"][0])
    with tarfile.open(path, "a") as tar:
        member = tarfile.TarInfo("zeros")
        member.type = tarfile.GNUTYPE_SPARSE
        tar.addfile(member)
    with pytest.raises(Damaged, match="member 'zeros' is neither a file nor"):
        image_archive.verify(path, LAYOUTS["classic"][1])


def test_a_huge_document_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(image_archive, "DOCUMENT", 10)
    with pytest.raises(Damaged, match="manifest.json has [0-9]+ bytes"):
        image_archive.tags_in(SAVED)


def judged(data, path):
    """None when verify accepts these bytes, else its sentence. Anything but Damaged is a bug."""
    with open(path, "wb") as stream:
        stream.write(data)
    try:
        image_archive.verify(path, TINY)
    except Damaged as error:
        return error.what
    return None


# What docker load has not read since Docker 1.10: of these neither content nor name matters to the image.
LEGACY = ("json", "VERSION", "repositories")


def loaded(data):
    """What `docker load` reads of a tar: name, kind, link and content of its members in order, without LEGACY and folders."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = [member for member in tar if not member.isdir() and os.path.basename(member.name) not in LEGACY]
        return [(each.name, each.type, each.linkname, tar.extractfile(each).read() if each.isfile() else b"") for each in members]


def flipped(at, bit):
    data = bytearray(content())
    data[at] ^= 1 << bit
    return bytes(data)


@given(st.integers(0, len(content()) - 1))
def test_an_archive_that_is_cut_short_anywhere_is_damaged(length):
    with scratch() as path:
        assert judged(content()[:length], path)


# Of a header's checksum the number counts: six octal digits, a NUL and a blank, of which neither Python's tarfile nor Go's
# archive/tar (parseOctal) looks at the blank.
@example(at=3227, bit=0)
@example(at=3226, bit=5)
@given(st.integers(0, len(content()) - 1), st.integers(0, 7))
def test_a_flipped_bit_is_found_wherever_docker_load_would_read_it(at, bit):
    data = flipped(at, bit)
    with scratch() as path:
        assert judged(data, path) or loaded(data) == loaded(content())


def test_what_docker_load_reads_is_nearly_all_of_the_archive():
    """The property above is no excuse for everything: most bytes of members that count are content or header."""
    read = sum(len(data) + 512 for _name, _kind, _link, data in loaded(content()))
    assert read > len(content().rstrip(b"\0")) // 2


@pytest.mark.parametrize(
    ("byte", "bit"),
    [(offset, bit) for offset in range(148, 156) for bit in range(8)],
    ids=lambda number: str(number),
)
def test_each_bit_of_a_headers_checksum(byte, bit):
    """POSIX pax: ustar header, chksum at 148. What leaves the number as it is leaves the archive as it is."""
    data = flipped(3072 + byte, bit)
    field = data[3072 + 148 : 3072 + 156].split(b"\0")[0].strip(b" ")
    same = field.isdigit() and not set(field) & set(b"89") and int(field, 8) == int(content()[3072 + 148 : 3072 + 154], 8)
    with scratch() as path:
        assert (judged(data, path) is None) == same


@given(st.binary(max_size=3000))
def test_garbage_is_damaged_and_nothing_else_is_raised(data):
    with scratch() as path:
        assert judged(data, path)


@given(st.integers(0, len(content()) - 1), st.binary(min_size=1, max_size=600))
def test_overwritten_pieces_never_raise_anything_else(at, data):
    with scratch() as path:
        judged(content()[:at] + data + content()[at + len(data) :], path)


@contextlib.contextmanager
def scratch():
    """A file name in memory where there is such a folder; gone afterwards."""
    path = os.path.join("/dev/shm" if os.path.isdir("/dev/shm") else "/tmp", "direct-lvm-test-%d.tar" % os.getpid())
    try:
        yield path
    finally:
        if os.path.exists(path):
            os.unlink(path)
