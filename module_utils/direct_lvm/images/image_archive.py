# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read what `docker save` wrote and prove that it is whole. Nothing is ever unpacked, no layer is held in memory.

Two layouts are known: FOLDER/layer.tar with FOLDER/json (Docker 1.10 to 24), where a layer that comes twice is a symlink,
and blobs/sha256/HEX as in an OCI image layout (Docker 25 and newer). Both carry manifest.json, which `docker load` reads.

An image's ID is the digest of its configuration; with the containerd image store it is the digest of its manifest or index.
Either way digests lead from the ID to each layer, so an archive that verifies holds that image and no other.

Sources: moby image/tarexport (save.go, load.go), OCI image-spec (image-layout.md, manifest.md, config.md).
"""

import hashlib
import os
import posixpath
import re
import tarfile
import zlib
from contextlib import contextmanager
from typing import Dict, NamedTuple

from ..model.errors import Refused
from ..model.quoting import paste
from ..texts import strict_json

BLOCK = 512  # of a tar; two zero blocks end it
PIECE = 1 << 20  # bytes read at once
DOCUMENT = 16 << 20  # bytes of a JSON document at most
LINKS = 8  # symlinks followed at most
DIGEST = re.compile(r"\Asha256:([0-9a-f]{64})\Z")
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
GZIP_FORMAT = 31  # for zlib: the largest window, and a gzip header
UNREADABLE = (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError, RecursionError)


class Damaged(Refused):
    """An archive is not what was saved. The text says where and what."""


class Archive(NamedTuple):
    """An opened archive: its members by name, and the digests of the layers that were read already, by name."""

    tar: tarfile.TarFile
    members: Dict[str, tarfile.TarInfo]
    known: Dict[str, set]


def verify(path, image):
    """Prove that the archive at path holds this image whole, under exactly its tags. Reads all of it.

    image: its id and tags count.  Raises Damaged, OSError.
    Exactly its tags: one tag more would take that tag away from another image when this archive is loaded.
    """
    with opened(path) as archive:
        ends_where_it_should(path, archive)
        entry, config = entry_for(archive, image.id)
        tags = sorted(entry.get("RepoTags") or ())
        if tags != sorted(image.tags):
            raise Damaged("it names the image %s, wanted %s" % (words(tags), words(sorted(image.tags))))
        layers, digests = entry.get("Layers") or [], diff_ids(config)
        if len(layers) != len(digests):
            raise Damaged("it has %d layers, and the image's configuration names %d" % (len(layers), len(digests)))
        for number, (name, digest) in enumerate(zip(layers, digests), 1):
            member = follow(archive, name)
            known = layer_digests(archive, member)
            if digest not in known and not (None in known and blob_digest(member.name) in known):
                raise Damaged("layer %d of %d (%s) is not the one that was saved" % (number, len(layers), name))


def is_whole(path, image):
    """Whether verify() finds nothing. Raises OSError."""
    try:
        verify(path, image)
    except Damaged:
        return False
    return True


def tags_in(path):
    """The tags that loading the archive would set, sorted. Reads manifest.json only. Raises Damaged, OSError."""
    with opened(path) as archive:
        return tuple(sorted(tag for entry in manifest(archive) for tag in entry.get("RepoTags") or ()))


def layers_in(path, image_id):
    """The digests of the uncompressed layers of the archive's image, base first. Raises Damaged, OSError."""
    with opened(path) as archive:
        return tuple(diff_ids(entry_for(archive, image_id)[1]))


def ids_in(path):
    """Under which IDs a Docker may have the archive's images: by configuration, and by manifest when the archive has one.

    Raises Damaged, OSError.
    """
    with opened(path) as archive:
        ids = [document(archive, entry.get("Config"), dict)[1] for entry in manifest(archive)]
        if "index.json" in archive.members:
            tops = document(archive, "index.json", dict)[0].get("manifests")
            ids += [digest for digest, _present in descriptors(archive, tops)]
        return tuple(ids)


# --- the tar ---------------------------------------------------------------------------------------------------


@contextmanager
def opened(path):
    """The Archive at path. Whatever goes wrong inside becomes Damaged, with the path."""
    try:
        with tarfile.open(path, "r:") as tar:
            yield Archive(tar, {clean_name(member): member for member in tar}, {})
    except UNREADABLE as error:
        raise damaged(path, "it cannot be read as a tar (%s)" % (str(error) or type(error).__name__)) from error
    except Damaged as error:
        raise damaged(path, error.what) from error


def damaged(path, what):
    """The sentence for an archive that is not whole."""
    return Damaged(
        "the image archive %s is damaged: %s" % (path, what),
        "While Docker still has the image, remove the archive, and the next run saves it again: rm %s" % paste(path),
    )


def clean_name(member):
    """A member's name without ./ and trailing slash. Raises Damaged for what `docker save` never writes."""
    name = posixpath.normpath(member.name)
    if name.startswith(("/", "../")) or name == "..":
        raise Damaged("it has a member %r, outside of itself" % member.name)
    if member.issparse() or not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        raise Damaged("its member %r is neither a file nor a folder nor a link" % member.name)
    return name


def follow(archive, name):
    """The TarInfo of the file that a name, or the link of that name, stands for. Raises Damaged."""
    if not isinstance(name, str):
        raise Damaged("manifest.json names %r where a file's name should be" % (name,))
    target = posixpath.normpath(name)
    for _step in range(LINKS):
        if target not in archive.members:
            raise Damaged("%s is missing" % name)
        member = archive.members[target]
        if member.isfile():
            return member
        if member.issym():
            target = posixpath.normpath(posixpath.join(posixpath.dirname(target), member.linkname))
        elif member.islnk():
            target = posixpath.normpath(member.linkname)
        else:
            raise Damaged("%s is not a file" % name)
    raise Damaged("%s is a link that leads nowhere" % name)


def pieces(archive, member):
    """The bytes of a member, piece by piece. Raises Damaged when the archive ends within it."""
    stream, left = archive.tar.extractfile(member), member.size
    while left:
        piece = stream.read(min(PIECE, left))
        if not piece:
            raise Damaged("it ends within %s" % member.name)
        left -= len(piece)
        yield piece


def ends_where_it_should(path, archive):
    """After the last member there are two blocks of zeros or more, and nothing else.

    tarfile takes a damaged header for the end of the archive, and so would not see that members are lost.
    """
    end = max([member.offset_data + rounded(member) for member in archive.members.values()] or [0])
    with open(path, "rb") as stream:
        if os.fstat(stream.fileno()).st_size < end + 2 * BLOCK:
            raise Damaged("it is cut short")
        stream.seek(end)
        for piece in iter(lambda: stream.read(PIECE), b""):
            if piece.strip(b"\0"):
                raise Damaged("what follows its last readable member cannot be read")


def rounded(member):
    """The bytes that a member's content takes in the tar."""
    return -(-member.size // BLOCK) * BLOCK if member.isfile() else 0


# --- what is in it ---------------------------------------------------------------------------------------------


def document(archive, name, kind):
    """(the JSON value of that kind in a member, "sha256:" + its digest). Raises Damaged."""
    member = follow(archive, name)
    if member.size > DOCUMENT:
        raise Damaged("%s has %d bytes" % (name, member.size))
    text = b"".join(pieces(archive, member))
    try:
        value = strict_json.loads(text.decode("utf-8"))
    except ValueError as error:
        raise Damaged("%s is not JSON (%s)" % (name, error)) from error
    if not isinstance(value, kind):
        raise Damaged("%s is not a JSON %s" % (name, "list" if kind is list else "object"))
    return value, "sha256:" + hashlib.sha256(text).hexdigest()


def manifest(archive):
    """The entries of manifest.json, one per image, each a dictionary whose lists are lists of text. Raises Damaged."""
    entries = document(archive, "manifest.json", list)[0]
    for entry in entries:
        lists = [entry.get(key) or [] for key in ("RepoTags", "Layers")] if isinstance(entry, dict) else [None]
        if not all(isinstance(value, list) and all(isinstance(text, str) for text in value) for value in lists):
            raise Damaged("manifest.json does not describe images")
    if not entries:
        raise Damaged("manifest.json names no image")
    return entries


def diff_ids(config):
    """The digests of the uncompressed layers that an image configuration names. Raises Damaged."""
    digests = (config.get("rootfs") or {}).get("diff_ids") or [] if isinstance(config.get("rootfs") or {}, dict) else None
    if not isinstance(digests, list) or not all(isinstance(text, str) and DIGEST.match(text) for text in digests):
        raise Damaged("the image's configuration does not name its layers")
    return digests


def entry_for(archive, image_id):
    """(manifest.json's entry for an image ID, the image's configuration). Raises Damaged when the archive has it not."""
    entries = manifest(archive)
    documents = [(entry, document(archive, entry.get("Config"), dict)) for entry in entries]
    for entry, (config, digest) in documents:
        if digest == image_id:
            return entry, config
    proven = configurations(archive, image_id)
    for entry, (config, digest) in documents:
        if digest in proven:
            return entry, config
    raise Damaged("it holds image %s, not %s" % (", ".join(digest for _entry, (_config, digest) in documents), image_id))


def configurations(archive, image_id):
    """The digests of the configurations that an OCI layout's manifest or index of that ID leads to.

    Every blob on the way, layers too, is found to hash to its own name. An index names platforms that were never
    pulled: their manifests are not in the archive, and that is no damage as long as one platform is.
    """
    named = DIGEST.match(image_id)
    if not named or "blobs/sha256/" + named.group(1) not in archive.members or "index.json" not in archive.members:
        return set()
    tops = document(archive, "index.json", dict)[0].get("manifests")
    if image_id not in [digest for digest, _present in descriptors(archive, tops)]:
        raise Damaged("index.json does not name %s" % image_id)
    todo, seen, proven = [image_id], set(), set()
    while todo:
        digest = todo.pop()
        if digest in seen:
            continue
        seen.add(digest)
        value, actual = document(archive, blob(digest), dict)
        if actual != digest:
            raise Damaged("%s is not what its name says" % blob(digest))
        todo += [child for child, present in descriptors(archive, value.get("manifests")) if present]
        if isinstance(value.get("config"), dict):
            for part, present in descriptors(archive, [value["config"]]) + descriptors(archive, value.get("layers")):
                if not present:
                    raise Damaged("%s is missing" % blob(part))
                if part not in layer_digests(archive, follow(archive, blob(part))):
                    raise Damaged("%s is not what its name says" % blob(part))
            proven.add(value["config"].get("digest"))
    return proven


def descriptors(archive, value):
    """[(digest, whether its blob is in the archive)] of a list of OCI descriptors. Raises Damaged."""
    blobs = []
    for descriptor in value if isinstance(value, list) else []:
        digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
        if not isinstance(digest, str) or not DIGEST.match(digest):
            raise Damaged("it names a part by %r, which is no sha256 digest" % (digest,))
        blobs.append((digest, blob(digest) in archive.members))
    return blobs


def blob(digest):
    """Where an OCI layout keeps the content of that digest."""
    return "blobs/sha256/" + digest.split(":", 1)[1]


def blob_digest(name):
    """The digest that a blob of an OCI layout has by its name, "" for another member."""
    return "sha256:" + name[len("blobs/sha256/") :] if name.startswith("blobs/sha256/") else ""


def layer_digests(archive, member):
    """The digests that a layer may go by: of its bytes, and of its content when it is compressed with gzip.

    None among them: it is compressed with zstd, which Python's library cannot unpack, so that its bytes must do.
    """
    if member.name not in archive.known:
        whole, content, unpacker, digests = hashlib.sha256(), hashlib.sha256(), None, set()
        for number, piece in enumerate(pieces(archive, member)):
            whole.update(piece)
            if number == 0 and piece.startswith(ZSTD):
                digests.add(None)
            if number == 0 and piece.startswith(GZIP):
                unpacker = zlib.decompressobj(GZIP_FORMAT)
            if unpacker:
                unpacker = unpack(unpacker, piece, content)
        if unpacker:
            content.update(unpacker.flush())
            digests.add("sha256:" + content.hexdigest())
        digests.add("sha256:" + whole.hexdigest())
        archive.known[member.name] = digests
    return archive.known[member.name]


def unpack(unpacker, piece, content):
    """Add what a piece of a gzip file unpacks to, in bounded portions, to a hash. The unpacker for the next piece."""
    while piece:
        content.update(unpacker.decompress(piece, PIECE))
        piece = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
        if unpacker.eof and piece:  # gzip files may be joined
            unpacker = zlib.decompressobj(GZIP_FORMAT)
    return unpacker


def words(tags):
    """Tags for a sentence."""
    return ", ".join(tags) or "nothing"
