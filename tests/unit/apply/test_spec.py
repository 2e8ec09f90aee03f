"""Bad input: a sentence, before anything is looked at."""

import pytest
from options import GOOD_CONTAINERD, GOOD_DOCKER, read

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.spec import (
    CLEAN_UP,
    GOALS,
    GROW,
    PROVISION,
    REMOVE,
    REPAIR,
    REPLACE,
    ROLL_BACK,
    ContainerdStorage,
    Size,
)


def test_good_input_is_read():
    spec = read(docker={"engine": "devicemapper"})
    assert (spec.pool.chunk_size, spec.pool.data_size.percent, spec.docker.engine) == (524288, 75, "devicemapper")


# What is read with each goal: whether disks are needed, whether Docker and containerd count.
READ = [
    (PROVISION, True, True, True),
    (GROW, True, False, False),
    (REPLACE, True, False, False),
    (ROLL_BACK, False, True, True),
    (CLEAN_UP, False, True, True),
    (REMOVE, True, True, True),
    (REPAIR, False, False, True),
]


def test_each_goal_has_a_row():
    assert [row[0] for row in READ] == list(GOALS)


@pytest.mark.parametrize(("goal", "disks", "docker", "containerd"), READ)
def test_what_counts_for_a_goal(goal, disks, docker, containerd):
    given = {"docker": {"engine": "auto"}, "containerd": {"fs_type": "xfs"}}
    spec = read(goal=goal, **given)
    assert (spec.goal, spec.pool.replace) == (goal, goal == REPLACE)
    assert (spec.docker is not None, spec.containerd is not None) == (docker, containerd)
    if disks:
        with pytest.raises(Refused, match="thin_pool_devices is empty"):
            read(goal=goal, devices=[], **given)
    else:
        assert read(goal=goal, devices=[], **given) == spec._replace(pool=spec.pool._replace(devices=()))


@pytest.mark.parametrize("goal", [ROLL_BACK, CLEAN_UP])
def test_a_goal_of_docker_needs_docker(goal):
    with pytest.raises(Refused, match="The goal %s is about Docker, and `docker` is not given" % goal):
        read(goal=goal)


BAD_POOL = [
    ("no-device", {"devices": []}, "no disk to make the thin pool from"),
    ("nothing-to-replace-by", {"devices": [], "adopt_vg": True, "goal": REPLACE}, "no disk to make the thin pool from"),
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
    ("size-with-newline", {"data_size": "20G\n"}, "is not a size"),
    ("size-in-other-digits", {"data_size": "\u0667\u0665%VG"}, "is not a size"),
    ("unit-is-the-kelvin-sign", {"data_size": "9\u212a"}, "is not a size"),
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
    ("metadata-lv-reserved", {"name": "pool_t"}, "LVM keeps that name"),
    ("lv-snapshot", {"name": "snapshot1"}, "LVM keeps that name"),
    ("lv-empty", {"name": ""}, "cannot be used"),
    ("names-too-long", {"vg": "v" * 100, "name": "p" * 30}, "too long"),
    ("profile-path", {"profile_name": "../../etc/passwd"}, "cannot be a file name"),
    ("no-patience-with-commands", {"command_timeout": 0}, "thin_pool_command_timeout: 0 is out of range, 1 to 86400"),
    ("more-than-poll-takes", {"command_timeout": 3000000}, "1 to 86400"),
    ("negative-patience", {"lock_timeout": -1}, "thin_pool_lock_timeout: -1 is out of range, 0 to 86400"),
]


@pytest.mark.parametrize(("changes", "sentence"), [row[1:] for row in BAD_POOL], ids=[row[0] for row in BAD_POOL])
def test_bad_pool(changes, sentence):
    with pytest.raises(Refused) as refusal:
        read(**changes)
    assert sentence in str(refusal.value)


BAD_DOCKER = [
    ("dropin-elsewhere", {"dropin": "/etc/passwd"}, "is not a file that is read there"),
    ("dropin-escapes", {"dropin": "/etc/systemd/system/docker.service.d/../x.conf"}, "is not a file that is read there"),
    ("dropin-not-conf", {"dropin": "/etc/systemd/system/docker.service.d/x.txt"}, "is not a file that is read there"),
    ("archive-relative", {"archive_dir": "images"}, "image_archive_dir"),
    ("archive-root", {"archive_dir": "/"}, "image_archive_dir"),
    ("archive-escapes", {"archive_dir": "/var/lib/../../etc"}, "image_archive_dir"),
    ("no-patience", {"start_timeout": 0}, "docker_storage_start_timeout: 0 is out of range, 1 to 86400"),
    ("unknown-option", {"options": {"dm.no_such": "1"}}, "dm.no_such"),
]


@pytest.mark.parametrize(("changes", "sentence"), [row[1:] for row in BAD_DOCKER], ids=[row[0] for row in BAD_DOCKER])
def test_bad_docker(changes, sentence):
    with pytest.raises(Refused) as refusal:
        read(docker=changes)
    assert sentence in str(refusal.value)


def test_good_containerd_is_read():
    spec = read(containerd={"root_path": "/srv//containerd/"})
    assert spec.docker is None
    assert spec.containerd == ContainerdStorage(
        GOOD_CONTAINERD["config_file"], GOOD_CONTAINERD["dropin"], "/srv/containerd", Size(None, 10 * 1024**3, "10GB")
    )
    assert read().containerd is None
    # Docker 25 and newer needs it.
    assert read(docker={"start_timeout": 300}).containerd == read(containerd={"start_timeout": 120}).containerd


def test_two_slashes_are_one_for_what_is_compared_as_text():
    doubled = {name: GOOD_CONTAINERD[name].replace("/direct", "//direct") for name in ("config_file", "dropin")}
    spec = read({"dropin": GOOD_DOCKER["dropin"].replace("/daemon", "///daemon")}, doubled)
    assert (spec.containerd.config_file, spec.containerd.dropin) == (GOOD_CONTAINERD["config_file"], GOOD_CONTAINERD["dropin"])
    assert spec.docker.dropin == GOOD_DOCKER["dropin"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("128MB", 2**27), ("134217728", 2**27), ("1.5g", 3 * 2**29), ("10 GiB", 10 * 2**30), ("1T", 2**40), ("2048mib", 2**31)],
)
def test_base_image_size_is_in_powers_of_1024(text, size):
    assert read(containerd={"base_image_size": text}).containerd.base_image_size.bytes == size


def test_the_file_system_that_docker_makes_is_the_option_dm_fs():
    assert read(docker={"options": {"dm.fs": "xfs"}}).docker.fs == "xfs"
    assert read(docker={"options": None}).docker.fs == ""


BAD_CONTAINERD = [
    (
        "config-elsewhere",
        {"config_file": "/etc/containerd/config.toml"},
        "containerd_storage_config_file: '/etc/containerd/config.toml' is not",
    ),
    ("config-escapes", {"config_file": "/etc/containerd/conf.d/../config.toml"}, "/etc/containerd/conf.d/*.toml"),
    ("config-below", {"config_file": "/etc/containerd/conf.d/a/b.toml"}, "is not a file that is read there"),
    ("config-is-a-pattern", {"config_file": "/etc/containerd/conf.d/*.toml"}, "is not a file that is read there"),
    ("config-not-toml", {"config_file": "/etc/containerd/conf.d/x.conf"}, "is not a file that is read there"),
    ("config-with-a-quote", {"config_file": '/etc/containerd/conf.d/a".toml'}, "is not a file that is read there"),
    ("config-with-newline", {"config_file": "/etc/containerd/conf.d/a.toml\n"}, "is not a file that is read there"),
    ("dropin-of-docker", {"dropin": GOOD_DOCKER["dropin"]}, "/etc/systemd/system/containerd.service.d/*.conf"),
    ("dropin-escapes", {"dropin": "/etc/systemd/system/containerd.service.d/../x.conf"}, "containerd_storage_dropin"),
    ("root-path-relative", {"root_path": "devmapper"}, "containerd_storage_root_path"),
    ("root-path-is-the-root", {"root_path": "//."}, "containerd_storage_root_path"),
    ("root-path-escapes", {"root_path": "/var/lib/containerd/../../../etc"}, "containerd_storage_root_path"),
    ("root-path-with-newline", {"root_path": "/srv/x\n"}, "containerd_storage_root_path"),
    ("image-without-room", {"base_image_size": "127MB"}, "'127MB' is not a size from 128MB to 1024GB"),
    ("image-too-large", {"base_image_size": "1025GB"}, "is not a size from 128MB to 1024GB"),
    ("image-size-in-bytes-too-small", {"base_image_size": "10"}, "is not a size"),
    ("image-size-empty", {"base_image_size": ""}, "is not a size"),
    ("image-size-of-the-vg", {"base_image_size": "10%VG"}, "is not a size"),
    ("image-size-negative", {"base_image_size": "-10GB"}, "is not a size"),
    ("image-size-with-newline", {"base_image_size": "10GB\n"}, "is not a size"),
    ("image-size-in-other-digits", {"base_image_size": "\u0661\u0660GB"}, "is not a size"),
    ("image-size-in-kelvin", {"base_image_size": "9999999\u212a"}, "is not a size"),
    ("mkfs-options-on-two-lines", {"fs_options": "-E nodiscard\n"}, "containerd_storage_fs_options"),
    ("mkfs-options-not-utf-8", {"fs_options": "\udcc3"}, "containerd_storage_fs_options"),
    ("no-patience", {"start_timeout": 0}, "containerd_storage_start_timeout: 0 is out of range, 1 to 86400"),
]


@pytest.mark.parametrize(("changes", "sentence"), [row[1:] for row in BAD_CONTAINERD], ids=[row[0] for row in BAD_CONTAINERD])
def test_bad_containerd(changes, sentence):
    with pytest.raises(Refused) as refusal:
        read(containerd=changes)
    assert sentence in str(refusal.value)
