"""Arbitrary input: refused with a sentence, or taken and harmless wherever it goes."""

import json
import re

import pytest
import states
from hypothesis import given
from hypothesis import strategies as st
from options import GOOD_CONTAINERD, GOOD_DOCKER, GOOD_POOL, read

from module_utils.direct_lvm.apply.spec import RESERVED_PARTS
from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Disk, Signature
from module_utils.direct_lvm.model.lvm_report import Lvm
from module_utils.direct_lvm.model.spec import (
    GOALS,
    Pool,
    Wipe,
)
from module_utils.direct_lvm.plan import blank, plan
from module_utils.direct_lvm.texts import own_files
from module_utils.direct_lvm.texts.containerd_config import with_import

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
