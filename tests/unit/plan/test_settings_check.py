"""What the host's LVM is told and would have a command of ours fail, or the pool not work later: refused, or warned of."""

import pytest
import states
from recorded_settings import recorded

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Settings
from module_utils.direct_lvm.model.spec import CLEAN_UP, GOALS, ROLL_BACK, DockerStorage
from module_utils.direct_lvm.plan import plan, settings_check

MADE = "07-complete-profile-attached"


def host(state="00-blank", autoactivation=(), lockd=False, **changes):
    """A recorded host whose LVM has other settings; `section__name` stands for section/name."""
    changed = {name.replace("__", "/"): value for name, value in changes.items()}
    lines = dict.fromkeys(changed, "/etc/lvm/lvmlocal.conf line 7")
    settings = Settings(dict(recorded(), **changed), lines, autoactivation, lockd)
    return states.tagged(states.host("bookworm", state))._replace(settings=settings)


def refusal(found, spec=None):
    """The text of the refusal, None when there is a plan."""
    try:
        plan.plan(spec or states.spec(), found)
    except Refused as refused:
        return str(refused)
    return None


@pytest.mark.parametrize("state", ["00-blank", "02-vg", MADE])
def test_settings_as_they_are_shipped_are_no_reason(state):
    assert refusal(host(state)) is None
    assert [line for line in plan.plan(states.spec(), host(state)).warnings if "lvm.conf" in line] == []


REFUSED = [
    ({"global__metadata_read_only": "1"}, "LVM changes nothing on this host", "global {\n\tmetadata_read_only = 0\n}"),
    ({"global__activation": "0"}, "LVM activates nothing", "activation = 1"),
    ({"global__thin_disabled_features": ("discards", "block_size")}, "kernel: discards, block_size", "features = []"),
    ({"metadata__pvmetadatacopies": "0"}, "without metadata", "pvmetadatacopies = 1"),
    ({"global__use_lvmlockd": "1"}, "lvmlockd, which does not run", "systemctl start lvmlockd"),
    ({"config__profile_dir": "/srv"}, "does not look for profiles", 'profile_dir = "/etc/lvm/profile"'),
    ({"activation__volume_list": ("vg0", "@else")}, "activates no LV of VG vgdocker", 'Add the VG to the list: "vgdocker"'),
    ({"activation__volume_list": ()}, "activates no LV of VG vgdocker", "Add the VG"),
    ({"activation__read_only_volume_list": ("vgdocker",)}, "read-only", "Take out of the list"),
    ({"activation__read_only_volume_list": "@direct-lvm"}, "read-only", "Take out of the list"),
]


@pytest.mark.parametrize(("changes", "what", "way_out"), REFUSED, ids=[str(row[0]) for row in REFUSED])
def test_refused(changes, what, way_out):
    text = refusal(host(**changes))
    first, rest = text.split("\n", 1)
    assert what in first
    assert "(/etc/lvm/lvmlocal.conf line 7)" in first
    assert way_out in rest
    assert "lvmconfig --type full " in rest


def test_docker_goes_back_whatever_lvm_is_told():
    docker = states.spec()._replace(docker=DockerStorage("auto", ""))
    found = host(MADE, global__metadata_read_only="1")
    for goal in GOALS:
        if goal in (ROLL_BACK, CLEAN_UP):
            settings_check.check(docker._replace(goal=goal), found)
        else:
            with pytest.raises(Refused):
                settings_check.check(docker._replace(goal=goal), found)


def test_a_host_that_watches_nothing_is_refused():
    assert "lvmconfig --type full activation/monitoring" in refusal(host(activation__monitoring="0"))
    absent = states.spec()._replace(goal="remove")
    assert refusal(host(MADE, activation__monitoring="0"), absent._replace(pool=absent.pool._replace(remove_data=True))) is None


@pytest.mark.parametrize(
    ("items", "state", "well"),
    [
        (("vgdocker",), "00-blank", True),
        (("@direct-lvm",), "00-blank", True),
        (("vgdocker/thinpool",), "00-blank", False),
        (("vgdocker/thinpool",), MADE, True),
        (("vgdocker/other",), MADE, False),
        (("vgdockers", "vgdock", "VGDOCKER"), MADE, False),
        (("@*",), "00-blank", False),
    ],
    ids=["vg", "our-tag", "the-pool-alone-before-it-is-there", "the-pool", "another-lv", "like-it", "host-tags"],
)
def test_volume_list(items, state, well):
    assert (refusal(host(state, activation__volume_list=items)) is None) == well


def test_a_group_that_others_made_may_carry_a_tag_of_the_host():
    found = host(MADE, activation__volume_list=("@*",))
    vg = found.lvm.vgs[0]._replace(tags=(*found.lvm.vgs[0].tags, "node1"))
    assert refusal(found._replace(lvm=found.lvm._replace(vgs=(vg,)))) is None


def test_lvmlockd_that_runs_is_no_reason():
    assert refusal(host(lockd=True, global__use_lvmlockd="1")) is None


WARNED = [
    ({"global__thin_check_executable": ""}, "without having its metadata checked"),
    ({"global__thin_check_options": ("-q", "--skip-mappings")}, "only a part"),
    ({"dmeventd__thin_command": "/usr/local/sbin/x"}, "another command"),
    ({"activation__auto_activation_volume_list": ("vg0",)}, "drop-ins of Docker and containerd"),
    ({"autoactivation": ("vgdocker",)}, "vgchange --setautoactivation y vgdocker"),
    ({"autoactivation": ("vgdocker/thinpool",)}, "lvchange --setautoactivation y vgdocker/thinpool"),
]


@pytest.mark.parametrize(("changes", "what"), WARNED, ids=[str(row[0]) for row in WARNED])
def test_warned(changes, what):
    assert refusal(host(MADE, **changes)) is None
    assert [what in line for line in settings_check.warnings(states.spec(), host(MADE, **changes))] == [True]
    assert any(what in line for line in plan.plan(states.spec(), host(MADE, **changes)).warnings)
    assert not any(what in line for line in plan.plan(states.spec(), host(MADE, **changes)._replace(settings=None)).warnings)


def test_nothing_is_warned_of_when_the_list_has_the_pool_or_another_lv_is_off():
    found = host(MADE, autoactivation=("vgdocker/other",), activation__auto_activation_volume_list=("@direct-lvm",))
    assert settings_check.warnings(states.spec(), found) == []


# --- disks that LVM does not take ------------------------------------------------------------------------

FILTER = "device is rejected by filter config"


@pytest.mark.parametrize(
    ("reason", "wiped", "refused"),
    [
        (FILTER, False, True),
        (FILTER, True, True),
        ("device not found", False, True),
        ("device not found", True, False),
        ("device type is unknown", False, True),
        ("device is too small (pv_min_size)", False, True),
        ("device is an md component", False, True),
        ("device is an md component", True, False),
        ("device is partitioned", True, False),
        ("device is not in devices file", False, False),
        (None, False, False),
    ],
)
def test_a_disk_that_lvm_does_not_take(reason, wiped, refused):
    found = host(devices__global_filter=("r|/dev/vdb|", "a|.*|"))
    found = found._replace(unusable=(("/dev/vdb", reason),) if reason else ())
    try:
        settings_check.check_usable(found.disks[0], found, wiped)
        text = None
    except Refused as refusal_of_it:
        text = str(refusal_of_it)
    assert (text is not None) == refused
    if refused:
        assert text.startswith("LVM does not take /dev/vdb: %s." % reason)
        assert 'devices/global_filter=["r|/dev/vdb|", "a|.*|"] on this host (/etc/lvm/lvmlocal.conf line 7).' in text
        assert "devices/filter=" not in text
        assert '"a|^/dev/vdb$|"' in text
        assert "lvmconfig --type full devices/global_filter devices/filter" in text


def test_a_blank_disk_that_a_filter_hides_is_refused_by_the_plan():
    found = host()._replace(unusable=(("/dev/vdb", FILTER),))
    assert "LVM does not take /dev/vdb" in refusal(found)
    assert "LVM does not take /dev/vdb" in refusal(found._replace(settings=None))
