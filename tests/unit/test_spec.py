"""Bad input: a sentence, before anything is looked at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from module_utils.direct_lvm.model import Refused
from module_utils.direct_lvm.spec import read_spec

GOOD_POOL = {
    "devices": ["/dev/sdb"],
    "vg": "vgdocker",
    "name": "thinpool",
    "data_size": "75%VG",
    "metadata_size": "1%VG",
    "chunk_size": "512K",
    "zero": False,
    "autoextend_threshold": 80,
    "autoextend_percent": 20,
    "profile_name": "docker-thinpool",
    "profile_text": "# Managed by direct_lvm\nactivation {\n}\n",
    "wipe": [],
    "adopt_vg": False,
    "require_autoextend": False,
    "error_when_full": False,
    "remove_data": False,
}
GOOD_DOCKER = {
    "engine": "auto",
    "dropin": "/etc/systemd/system/docker.service.d/daemon.conf",
    "dropin_text": "# Managed by direct_lvm\n[Service]\nExecStart=\nExecStart=@@VENDOR_COMMAND@@ --x\n",
    "options": {},
    "start_timeout": 300,
    "config": "dropin",
    "daemon_json_text": "{}",
    "containers": "refuse",
    "commit_containers": False,
    "archive_dir": "/var/lib/direct-lvm/images",
    "keep_archives": True,
    "load_images": True,
    "state": "on_pool",
}


def read(docker=None, **changes):
    return read_spec({"state": "present", "pool": dict(GOOD_POOL, **changes), "docker": docker and dict(GOOD_DOCKER, **docker)})


def test_good_input_is_read():
    spec = read(docker={"engine": "devicemapper"})
    assert spec.pool.chunk_size == 524288
    assert spec.pool.data_size.percent == 75
    assert spec.docker.engine == "devicemapper"


BAD_POOL = [
    ("no-device", {"devices": []}, "no disk to make the thin pool from"),
    ("option-like-device", {"devices": ["--force"]}, "is not a device name"),
    ("escaping-device", {"devices": ["/dev/../etc/passwd"]}, "is not a device name"),
    ("relative-device", {"devices": ["disk/by-id/x"]}, "is not a device name"),
    ("device-with-newline", {"devices": ["/dev/sdb\n"]}, "is not a device name"),
    ("device-twice", {"devices": ["/dev/sdb", "/dev/sdb"]}, "names a disk twice"),
    ("size-without-unit", {"data_size": "95"}, "thin_pool_data_size: '95' is not a size"),
    ("no-data", {"data_size": "0%VG"}, "is not a size"),
    ("more-than-all", {"data_size": "101%VG"}, "is not a size"),
    ("negative", {"data_size": "-1G"}, "is not a size"),
    ("percent-of-free", {"data_size": "50%FREE"}, "is not a size"),
    ("metadata-without-unit", {"metadata_size": "1"}, "thin_pool_metadata_size"),
    ("threshold-low", {"autoextend_threshold": 49}, "50 to 100"),
    ("threshold-high", {"autoextend_threshold": 101}, "50 to 100"),
    ("percent-zero", {"autoextend_percent": 0}, "1 to 100"),
    ("chunk-odd", {"chunk_size": "100K"}, "multiples of 64K"),
    ("chunk-small", {"chunk_size": "32K"}, "multiples of 64K"),
    ("chunk-large", {"chunk_size": "2G"}, "multiples of 64K"),
    ("vg-option", {"vg": "-vg"}, "cannot be used"),
    ("vg-dot", {"vg": ".."}, "cannot be used"),
    ("vg-slash", {"vg": "a/b"}, "cannot be used"),
    ("vg-is-a-device", {"vg": "null"}, "is not a volume group"),
    ("lv-reserved", {"name": "pool_tmeta"}, "LVM keeps that name"),
    ("lv-snapshot", {"name": "snapshot1"}, "LVM keeps that name"),
    ("lv-empty", {"name": ""}, "cannot be used"),
    ("names-too-long", {"vg": "v" * 100, "name": "p" * 30}, "too long"),
    ("profile-path", {"profile_name": "../../etc/passwd"}, "cannot be a file name"),
    ("profile-unmarked", {"profile_text": "activation {}\n"}, "must begin with"),
]


@pytest.mark.parametrize(("changes", "sentence"), [row[1:] for row in BAD_POOL], ids=[row[0] for row in BAD_POOL])
def test_bad_pool(changes, sentence):
    with pytest.raises(Refused) as refusal:
        read(**changes)
    assert sentence in str(refusal.value)


BAD_DOCKER = [
    ("dropin-elsewhere", {"dropin": "/etc/passwd"}, "is not a drop-in of docker.service"),
    ("dropin-escapes", {"dropin": "/etc/systemd/system/docker.service.d/../x.conf"}, "is not a drop-in"),
    ("dropin-not-conf", {"dropin": "/etc/systemd/system/docker.service.d/x.txt"}, "is not a drop-in"),
    ("no-marker", {"dropin_text": "# Managed by direct_lvm\n[Service]\n"}, "@@VENDOR_COMMAND@@ once"),
    ("marker-with-daemon-json", {"config": "daemon_json"}, "not at all with config: daemon_json"),
    ("daemon-json-is-a-list", {"daemon_json_text": "[]"}, "not a JSON object"),
    ("daemon-json-is-garbage", {"daemon_json_text": "{"}, "not a JSON object"),
    ("archive-relative", {"archive_dir": "images"}, "image_archive_dir"),
    ("archive-root", {"archive_dir": "/"}, "image_archive_dir"),
    ("archive-escapes", {"archive_dir": "/var/lib/../../etc"}, "image_archive_dir"),
    ("unknown-option", {"options": {"dm.no_such": "1"}}, "dm.no_such"),
]


@pytest.mark.parametrize(("changes", "sentence"), [row[1:] for row in BAD_DOCKER], ids=[row[0] for row in BAD_DOCKER])
def test_bad_docker(changes, sentence):
    with pytest.raises(Refused) as refusal:
        read(docker=changes)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("key", ["vg", "name", "data_size", "metadata_size", "chunk_size", "profile_name", "profile_text"])
@given(text=st.text())
def test_any_text_is_taken_or_refused(key, text):
    try:
        spec = read(**{key: text})
    except Refused:
        return
    value = {"vg": spec.pool.vg, "name": spec.pool.name, "profile_name": spec.pool.profile_name}.get(key, "ok")
    assert not value.startswith(("-", "/"))
    assert not set(value) & set("/ \n\t;|&$`'\"")


@pytest.mark.parametrize("key", ["dropin", "dropin_text", "daemon_json_text", "archive_dir"])
@given(text=st.text())
def test_any_text_about_docker_is_taken_or_refused(key, text):
    try:
        spec = read(docker={key: text})
    except Refused:
        return
    assert spec.docker.archive.startswith("/")
    assert ".." not in spec.docker.archive.split("/")


def test_going_back_needs_no_disks():
    assert read(docker={"state": "former"}, devices=[]).docker.back


@given(st.lists(st.text(), max_size=3))
def test_any_device_is_a_device_name_or_refused(names):
    try:
        spec = read(devices=names)
    except Refused:
        return
    for name in spec.pool.devices:
        assert not name.startswith("-")
        assert ".." not in name.split("/")
        assert name.startswith("/dev/") or "/" not in name
