"""Bad input: a sentence, before anything is looked at."""

import json
import re

import pytest
import states
from hypothesis import given
from hypothesis import strategies as st

from module_utils.direct_lvm.apply.spec import RESERVED_PARTS, read_spec
from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Disk, Signature
from module_utils.direct_lvm.model.lvm_report import Lvm
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
    Pool,
    Size,
    Wipe,
)
from module_utils.direct_lvm.plan import blank, plan
from module_utils.direct_lvm.texts import own_files
from module_utils.direct_lvm.texts.containerd_config import with_import

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
    "wipe": [],
    "adopt_vg": False,
    "require_autoextend": False,
    "error_when_full": False,
    "remove_data": False,
    "discards": "passdown",
}
GOOD_DOCKER = {
    "engine": "auto",
    "dropin": "/etc/systemd/system/docker.service.d/daemon.conf",
    "options": {},
    "start_timeout": 300,
    "config": "dropin",
    "containers": "refuse",
    "commit_containers": False,
    "archive_dir": "/var/lib/direct-lvm/images",
    "keep_archives": True,
    "verify_archives": True,
    "load_images": True,
    "roll_back_to": "previous",
}
GOOD_CONTAINERD = {
    "config_file": "/etc/containerd/conf.d/direct-lvm.toml",
    "dropin": "/etc/systemd/system/containerd.service.d/direct-lvm.conf",
    "root_path": "/var/lib/containerd/devmapper",
    "base_image_size": "10GB",
    "discard_blocks": True,
    "async_remove": False,
    "fs_type": "ext4",
    "fs_options": "",
    "start_timeout": 120,
}


def read(docker=None, containerd=None, goal=PROVISION, lock_timeout=600, command_timeout=120, **changes):
    params = {"goal": goal, "lock_timeout": lock_timeout, "command_timeout": command_timeout}
    params.update(docker=docker and dict(GOOD_DOCKER, **docker), containerd=containerd and dict(GOOD_CONTAINERD, **containerd))
    return read_spec(dict(params, pool=dict(GOOD_POOL, **changes)))


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


# --- arbitrary input -------------------------------------------------------------------------------------

# Nearly good: digits and letters that only look like ASCII, line ends, what shells, LVM, YAML and UTF-8 treat as special.
NEARLY = st.text(alphabet="0159.KkMGTiBVtmeap_+-/%:,# \n\0\u0663\u00b2\u212a\u0131\ud800", max_size=9)
SIZES = st.builds("{}{}".format, NEARLY, st.sampled_from(["", "%VG", "K", "G", "GiB", "G\n"]))
TEXTS = st.one_of(st.text(), NEARLY, SIZES)
PLACES = st.builds("/etc/systemd/system/docker.service.d/{}.conf".format, NEARLY)
DEVICES = st.builds("/dev/{}".format, st.text(alphabet="ab1/:,#=@~%\\.-_+ {}[]'\"&*!|>?\n", max_size=9))
NAMED = st.builds("/dev/{}".format, st.text(alphabet="ab1/:,#=@~%\\.-_+", min_size=1, max_size=6))
NUMBERS = st.one_of(st.integers(), st.integers(-1, 101), st.just(10**400))
VALUES = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.text()), lambda inner: st.lists(inner, max_size=2))
WIPES = st.lists(st.fixed_dictionaries({"device": st.one_of(st.text(), DEVICES), "signature": st.text()}), max_size=3)
FLAGS = ["zero", "adopt_vg", "require_autoextend", "error_when_full", "remove_data"]
POOLS = dict(
    dict.fromkeys(("vg", "name", "data_size", "metadata_size", "chunk_size", "profile_name"), TEXTS),
    devices=st.lists(st.one_of(st.text(), DEVICES), max_size=3),
    autoextend_threshold=NUMBERS,
    autoextend_percent=NUMBERS,
    wipe=st.one_of(st.none(), WIPES),
    discards=st.sampled_from(["passdown", "nopassdown", "ignore"]),
    **{name: st.booleans() for name in FLAGS},
)
DOCKERS = {
    "engine": st.sampled_from(["auto", "devicemapper", "docker-devmapper", "containerd"]),
    "dropin": st.one_of(st.text(), PLACES),
    "options": st.one_of(st.none(), st.dictionaries(st.one_of(st.text(), st.just("dm.basesize")), VALUES, max_size=3)),
    "start_timeout": NUMBERS,
    "config": st.sampled_from(["dropin", "daemon_json"]),
    "containers": st.sampled_from(["refuse", "discard"]),
    "commit_containers": st.booleans(),
    "archive_dir": st.one_of(st.text(), NEARLY.map("/srv/{}".format)),
    "keep_archives": st.booleans(),
    "verify_archives": st.booleans(),
    "load_images": st.booleans(),
    "roll_back_to": st.sampled_from(["previous", "overlay2"]),
}
CONTAINERDS = {
    "config_file": st.one_of(st.text(), NEARLY.map("/etc/containerd/conf.d/{}.toml".format)),
    "dropin": st.one_of(st.text(), NEARLY.map("/etc/systemd/system/containerd.service.d/{}.conf".format)),
    "root_path": st.one_of(st.text(), NEARLY.map("/srv/{}".format)),
    "base_image_size": st.one_of(TEXTS, st.builds("{}{}".format, st.integers(0, 2000), st.sampled_from(["GB", "m", " KiB", "ib"]))),
    "discard_blocks": st.booleans(),
    "async_remove": st.booleans(),
    "fs_type": st.sampled_from(["ext4", "xfs", "ext2"]),
    "fs_options": TEXTS,
    "start_timeout": NUMBERS,
}
MODULE = {"goal": st.sampled_from(GOALS), "lock_timeout": NUMBERS, "command_timeout": NUMBERS}
TAG = re.compile(r"[A-Za-z0-9_+.\-/=!:&#]{1,1024}\Z")  # lvm(8), VALID NAMES


def taken(changes, containerd=None):
    """The Spec of good input with changes, of pool and Docker and of containerd, None when it is refused with a sentence."""
    inner = {key: value for key, value in changes.items() if key in DOCKERS}
    try:
        outer = {key: value for key, value in changes.items() if key not in DOCKERS}
        return read(docker=inner or None, containerd=containerd, **outer)
    except Refused:
        return None


def check(spec):
    """What must hold for everything that is taken, and for the commands that it leads to on a blank host."""
    texts = [own_files.profile(spec.pool)]
    if spec.docker:
        texts.append(own_files.docker_dropin(spec.pool, spec.docker, "dockerd"))
        json.dumps(own_files.docker_settings(spec.pool, spec.docker)).encode("ascii")
    if spec.containerd:
        texts += [
            own_files.containerd_config(spec.pool, spec.containerd, 2),
            own_files.containerd_dropin(spec.pool, spec.containerd, "x"),
        ]
    for text in texts:
        assert text.encode("utf-8").decode("utf-8") == text
        assert all(line.isprintable() for line in text.replace("\t", "").split("\n"))
    for name in (spec.pool.vg, spec.pool.name, spec.pool.profile_name):
        assert re.match(r"[A-Za-z0-9_+.][A-Za-z0-9_+.-]*\Z", name)
    assert not any(part in spec.pool.name + "meta" for part in RESERVED_PARTS)
    for device in spec.pool.devices + tuple(wipe.device for wipe in spec.pool.wipe):
        assert not device.startswith("-")
        assert ".." not in device.split("/")
        assert device.startswith("/dev/") or "/" not in device
    if spec.docker:
        assert spec.docker.archive_dir.startswith("/")
        assert ".." not in spec.docker.archive_dir.split("/")
    if spec.containerd:
        check_containerd(spec.pool, spec.containerd)
    try:
        steps = plan.plan(spec._replace(docker=None, containerd=None), states.host("bookworm", "00-blank")).steps
    except Refused:
        return
    for argv in [step.argv for step in steps if hasattr(step, "argv")]:
        assert all(re.match(r"[!-~]+\Z", word) for word in argv)
        assert all(TAG.match(tag) for option, tag in zip(argv, argv[1:]) if option == "--addtag")


def check_containerd(pool, wanted):
    """Its files stay in the folders that are read, no path leads out of where it starts, containerd reads what is written."""
    assert re.match(r"/etc/containerd/conf\.d/[A-Za-z0-9_@:][A-Za-z0-9_.@:-]*\.toml\Z", wanted.config_file)
    assert re.match(r"/etc/systemd/system/containerd\.service\.d/[A-Za-z0-9_@:][A-Za-z0-9_.@:-]*\.conf\Z", wanted.dropin)
    assert wanted.root_path.startswith("/")
    assert wanted.root_path.strip("/")
    assert ".." not in wanted.root_path.split("/")
    assert "\n" not in wanted.root_path
    assert 2**27 <= wanted.base_image_size.bytes <= 2**40
    assert with_import(with_import(None, wanted.config_file), wanted.config_file) == with_import(None, wanted.config_file)
    tomllib = pytest.importorskip("tomllib")
    (settings,) = tomllib.loads(own_files.containerd_config(pool, wanted, 2))["plugins"].values()
    assert (settings["root_path"], settings.get("fs_options", "")) == (wanted.root_path, wanted.fs_options)


def test_every_parameter_has_hostile_input():
    assert set(POOLS) == set(GOOD_POOL)
    assert set(CONTAINERDS) == set(GOOD_CONTAINERD)
    assert set(DOCKERS) == set(GOOD_DOCKER)


@pytest.mark.parametrize("key", sorted({**POOLS, **DOCKERS, **MODULE}))
@given(data=st.data())
def test_any_parameter_is_taken_or_refused(key, data):
    spec = taken({key: data.draw({**POOLS, **DOCKERS, **MODULE}[key])})
    if spec:
        check(spec)


@pytest.mark.parametrize("key", sorted(CONTAINERDS))
@given(data=st.data())
def test_any_parameter_of_containerd_is_taken_or_refused(key, data):
    spec = taken({}, {key: data.draw(CONTAINERDS[key])})
    if spec:
        check(spec)


@given(st.fixed_dictionaries(POOLS), st.fixed_dictionaries(DOCKERS), st.fixed_dictionaries(CONTAINERDS))
def test_any_parameters_together_are_taken_or_refused(pool, docker, containerd):
    spec = taken(dict(pool, **docker), containerd)
    if spec:
        check(spec)


@given(NAMED, st.sampled_from(["ext4", "crypto_LUKS", "linux_raid_member", "LVM2_member", "data", "hfs+", "PMBR"]))
def test_the_yaml_of_a_refusal_is_taken_as_it_was_printed(device, kind):
    yaml = pytest.importorskip("yaml")
    spec = taken({"devices": [device]})
    if spec is None:
        return
    disk = Disk(device, "/dev/sdb", size=8 * 1024**3, signatures=(Signature(kind, 0, "filesystem"),), our_pv_uuid="x")
    # An LVM label counts only when LVM shows it; that it does not is another sentence.
    report = Lvm((), (), (), ("bad metadata header on /dev/sdb at 4096.",))
    with pytest.raises(Refused) as refusal:
        blank.why_not_blank(disk, report, spec.pool)
    pasted = yaml.safe_load(refusal.value.way_out[refusal.value.way_out.index("thin_pool_wipe:") :])["thin_pool_wipe"]
    assert pasted == [{"device": device, "signature": kind}]
    wiped = Pool(devices=(device,), wipe=tuple(Wipe(**line) for line in pasted))
    assert [found.type for found in blank.why_not_blank(disk, report, wiped)] == [kind]
