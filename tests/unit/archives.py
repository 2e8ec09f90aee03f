"""Image archives for the tests: one that Docker wrote, and both layouts made by hand."""

import gzip
import hashlib
import io
import json
import os
import tarfile

from states import ALL_RECORDED

from module_utils.direct_lvm.model.host import Image

RECORDED = os.path.join(ALL_RECORDED, "docker")
SAVED = os.path.join(RECORDED, "save-20.10.24.tar")
TINY = Image("sha256:3228f8db8cc12923a01fda42d978c11e73784023a3b1ba803a36e0295b338cf3", ("tiny:2",), 11778)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def dumps(value):
    return json.dumps(value).encode("utf-8")


LAYERS = [b"base" * 3000, b"middle" * 100, b"base" * 3000]  # the third is the first again
TAGS = ("app:1", "localhost:5000/team/app:1.0")


def config_of(layers):
    return dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha(layer) for layer in layers]}})


def classic(layers=tuple(LAYERS), tags=TAGS):
    """{name: bytes, or a str for a symlink} as Docker 1.10 to 24 writes it, and the Image."""
    config, members, names = config_of(layers), {}, []
    for number, layer in enumerate(layers):
        names.append("%064x/layer.tar" % number)
        first = layers.index(layer)
        members[names[-1]] = layer if first == number else "../%064x/layer.tar" % first
    members[sha(config) + ".json"] = config
    members["manifest.json"] = dumps([{"Config": sha(config) + ".json", "RepoTags": list(tags) or None, "Layers": names}])
    return members, Image("sha256:" + sha(config), tuple(tags), 5)


def oci(layers=tuple(LAYERS), tags=TAGS, pack=bytes, by="manifest"):
    """The same as an OCI layout. by: what the image's ID is the digest of, 'config', 'manifest' or 'index'."""
    members = {"oci-layout": dumps({"imageLayoutVersion": "1.0.0"})}

    def add(data, **more):
        members["blobs/sha256/" + sha(data)] = data
        return dict({"digest": "sha256:" + sha(data), "size": len(data)}, **more)

    config = add(config_of(layers))
    packed = [add(pack(layer)) for layer in layers]
    manifest = add(dumps({"schemaVersion": 2, "config": config, "layers": packed}))
    elsewhere = {"digest": "sha256:" + "0" * 64, "size": 9, "platform": {"architecture": "s390x"}}  # was never pulled
    top = add(dumps({"schemaVersion": 2, "manifests": [manifest, elsewhere]})) if by == "index" else manifest
    members["index.json"] = dumps({"schemaVersion": 2, "manifests": [top]})
    names = ["blobs/sha256/" + layer["digest"][7:] for layer in packed]
    entry = {"Config": "blobs/sha256/" + config["digest"][7:], "RepoTags": list(tags) or None, "Layers": names}
    members["manifest.json"] = dumps([entry])
    return members, Image((config if by == "config" else top)["digest"], tuple(tags), 5)


def write_tar(path, members):
    with tarfile.open(str(path), "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(data, bytes):
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
            else:
                member.type, member.linkname = tarfile.SYMTYPE, data
                tar.addfile(member)
    return str(path)


def deterministic_gzip(data):
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as stream:
        stream.write(data)
    return buffer.getvalue()


LAYOUTS = {
    "classic": classic(),
    "classic-dangling": classic(tags=()),
    "classic-no-layers": classic(layers=()),
    "oci-graph-driver": oci(by="config"),
    "oci-containerd": oci(by="manifest"),
    "oci-containerd-index": oci(by="index"),
    "oci-containerd-gzip": oci(pack=deterministic_gzip),
    "oci-containerd-gzip-joined": oci(pack=lambda data: deterministic_gzip(data[:700]) + deterministic_gzip(data[700:])),
    "oci-containerd-zstd": oci(pack=lambda data: b"\x28\xb5\x2f\xfd" + data),
    "oci-dangling": oci(tags=()),
}


def with_layer(layout, data):
    """A layout whose second layer holds other bytes."""
    members, image = LAYOUTS[layout]
    found = next(name for name, old in members.items() if isinstance(old, bytes) and b"middle" in old)
    return dict(members, **{found: data}), image


def content():
    with open(SAVED, "rb") as stream:
        return stream.read()
