"""The planner's table: a situation, recorded on a real guest, and the commands that are still due."""

import pytest
import states
from planned_steps import MONITOR, ON_DATA, ON_META, ON_POOL, expect, shown

from module_utils.direct_lvm.apply.spec import read_size
from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.names import ADOPTED_TAG
from module_utils.direct_lvm.model.steps import Command
from module_utils.direct_lvm.plan import plan
from module_utils.direct_lvm.texts import own_files

PVCREATE = "pvcreate --uuid %s --norestorefile /dev/vdb" % states.OUR_UUID
SIZE = "--addtag direct-lvm/data_size=95pcVG vgdocker"
VGCREATE = "vgcreate --addtag direct-lvm %s --physicalextentsize 4096k vgdocker /dev/vdb" % SIZE.rpartition(" ")[0]
ADOPT = ["vgchange --addtag direct-lvm --addtag direct-lvm/adopted vgdocker", "vgchange " + SIZE]
LVCREATE = "lvcreate --yes --wipesignatures y --zero y --addtag direct-lvm --name "
DATA = LVCREATE + "thinpool --extents 95%VG vgdocker"
META = LVCREATE + "thinpoolmeta --extents 1%VG vgdocker"
BLANK = "blank? /dev/vgdocker/thinpool"
BOTH_BLANK = [BLANK, BLANK + "meta"]
CONVERT = (
    "lvconvert --yes --zero n --chunksize 512k --discards passdown"
    " --thinpool vgdocker/thinpool --poolmetadata vgdocker/thinpoolmeta"
)
PROFILE = [
    "write /etc/lvm/profile/docker-thinpool.profile",
    "lvmconfig --metadataprofile docker-thinpool activation/thin_pool_autoextend_threshold activation/thin_pool_autoextend_percent",
]
SPARE = [
    "lvcreate --yes --type thin-pool --zero n --chunksize 64k --addtag direct-lvm --extents 1 --poolmetadatasize 318767104b"
    " --poolmetadataspare y --name thinpoolspare vgdocker",
    "lvremove --yes vgdocker/thinpoolspare",
]
ATTACH = "lvchange --metadataprofile docker-thinpool vgdocker/thinpool"
STRAY = ["lvchange --activate y vgdocker/lvol0", "blank? /dev/vgdocker/lvol0", "lvremove --yes vgdocker/lvol0"]
POLICY = [*PROFILE, ATTACH, MONITOR]
ALL = [PVCREATE, VGCREATE, DATA, META, BLANK, CONVERT, *POLICY]

# What our own runs leave: VG and plain LVs carry our tag.
OURS = [
    ("00-blank", ALL),
    ("02-vg", ALL[2:]),
    ("03-data-lv-only", ALL[3:]),
    ("04-data-and-meta-not-converted", [*BOTH_BLANK, *ALL[5:]]),
    ("05-converted-no-profile", [*PROFILE, ATTACH]),
    ("06-converted-profile-file-only", [*PROFILE, ATTACH]),
    ("07-complete-profile-attached", PROFILE),  # the article's own file: same policy, brought under management
    ("08-profile-attached-file-missing", PROFILE),
    ("09-profile-attached-file-broken", PROFILE),
    ("10-meta-lv-only", [DATA, *BOTH_BLANK, CONVERT, *POLICY]),
    ("13-complete-inactive", [ON_POOL, *PROFILE, MONITOR]),
    ("14-complete-not-monitored", [*PROFILE, MONITOR]),
    ("15-pool-used-by-foreign-thin", PROFILE),
    ("25-vg-exported", "VG vgdocker is exported"),
    ("26-vg-missing-pv", "missing 1 of its PVs"),
    ("27-pool-other-chunk-created-by-lvcreate", "chunk size"),
    ("29-both-not-converted-inactive", [ON_DATA, ON_META, *BOTH_BLANK, CONVERT, *POLICY]),
    ("30-converted-plus-stray-meta", "stands beside the finished pool"),
    ("33-metadata-swapped-by-naive-rerun", "lvconvert -y --thinpool vgdocker/thinpool --poolmetadata"),
    ("34-docker-devicemapper-running-no-container", PROFILE),
    ("40-lvconvert-killed-at-write-01", [ON_DATA, ON_META, *BOTH_BLANK, CONVERT, *POLICY]),
    ("40-lvconvert-killed-at-write-02", [ON_DATA, ON_META, *BOTH_BLANK, CONVERT, *POLICY]),
    ("40-lvconvert-killed-at-write-03", [ON_DATA, ON_META, *BOTH_BLANK, CONVERT, *POLICY]),
    ("40-lvconvert-killed-at-write-04", [*STRAY, *SPARE, ON_POOL, *POLICY]),
    ("40-lvconvert-killed-at-write-05", [*STRAY, *SPARE, ON_POOL, *POLICY]),
    ("40-lvconvert-killed-at-write-06", [*STRAY, *SPARE, ON_POOL, *POLICY]),
]

# What others left: the same states without a tag, and disks that hold something.
THEIRS = [
    ("01-pv-only", "in no volume group"),
    ("02-vg", "was not made by this tool"),
    ("07-complete-profile-attached", "was not made by this tool"),
    ("11-thinpool-is-linear-lv-with-ext4", "was not made by this tool"),
    ("18-disk-in-other-vg", "othervg"),
    ("19-disk-ext4", "signature: ext4"),
    ("20-disk-xfs-mounted", "mounted (xfs) at /mnt"),
    ("21-disk-gpt-two-parts", "/dev/vdb1"),
    ("22-disk-gpt-empty", "signature: gpt"),
    ("23-vg-on-partition", "was not made by this tool"),
    ("24-disk-swap-on", "swap"),
    ("31-pv-label-but-mda-zeroed", "LVM2_member"),
    ("32-pool-no-free-space", "was not made by this tool"),
]

ADOPTED = [
    ("02-vg", [*ADOPT, *ALL[2:]]),
    ("03-data-lv-only", "does not carry our tag"),
    ("07-complete-profile-attached", [*ADOPT, *PROFILE]),
    ("11-thinpool-is-linear-lv-with-ext4", "does not carry our tag"),
    ("12-thinpool-linear-mounted", "does not carry our tag"),
    ("16-pool-with-lvm-thin-lv", "thin LVs of LVM's own: tv1"),
    ("28-vg-with-foreign-lv", "does not fit into VG vgdocker"),
    ("32-pool-no-free-space", "chunk size of 64K"),
]


@pytest.mark.parametrize(("state", "due"), OURS, ids=[row[0] for row in OURS])
def test_what_our_own_runs_left_is_finished(state, due):
    expect(states.spec(), states.tagged(states.host("bookworm", state)), due)


@pytest.mark.parametrize("suite", ["bullseye", "trixie", "forky"])
@pytest.mark.parametrize(("state", "due"), OURS, ids=[row[0] for row in OURS])
def test_other_releases_report_alike(suite, state, due):
    if (suite, state) in states.names():
        expect(states.spec(), states.tagged(states.host(suite, state)), due)


@pytest.mark.parametrize(("state", "due"), THEIRS, ids=[row[0] for row in THEIRS])
def test_what_others_left_is_refused(state, due):
    expect(states.spec(), states.host("bookworm", state), due)


@pytest.mark.parametrize(("state", "due"), ADOPTED, ids=[row[0] for row in ADOPTED])
def test_an_adopted_vg(state, due):
    expect(states.spec(adopt_vg=True), states.host("bookworm", state), due)


def test_every_recorded_state_is_in_the_table():
    assert {state for _suite, state in states.names()} - {row[0] for row in OURS + THEIRS + ADOPTED} == {
        "17-vg-on-other-disk"  # below: its volume group is on a disk that is not listed
    }


def test_a_vg_on_a_disk_that_is_not_listed_is_refused_and_no_move_is_proposed():
    host = states.tagged(states.host("bookworm", "17-vg-on-other-disk"))
    ours = host.lvm._replace(pvs=tuple(pv._replace(uuid=states.OUR_UUID) if pv.vg is None else pv for pv in host.lvm.pvs))
    expect(states.spec(), host._replace(lvm=ours), "may have given the disks other names at a boot")


def test_an_orphan_pv_of_our_own_run_is_used_without_a_second_pvcreate():
    host = states.host("bookworm", "01-pv-only")
    ours = host.lvm._replace(pvs=tuple(pv._replace(uuid=states.OUR_UUID) for pv in host.lvm.pvs))
    expect(states.spec(), host._replace(lvm=ours), ALL[1:])


def test_a_vgcreate_that_was_killed_before_its_commit_is_undone():
    host = states.host("bookworm", "01-pv-only")
    ours = host.lvm._replace(pvs=tuple(pv._replace(uuid=states.OUR_UUID) for pv in host.lvm.pvs))
    marked = host._replace(lvm=ours, disks=(host.disks[0]._replace(pv_used=True, pv_commits=1),))
    zero = "dd if=/dev/zero of=/dev/vdb bs=1M count=1 seek=0 oflag=seek_bytes conv=notrunc,fsync"
    expect(states.spec(), marked, [zero, *ALL])
    lost = marked._replace(disks=(host.disks[0]._replace(pv_used=True, pv_commits=7),))
    expect(states.spec(), lost, "vgcfgrestore")


@pytest.mark.parametrize("name", ["thinpool_tmeta", "thinpool"])
def test_what_a_killed_command_left_active_of_the_pool_is_taken_down(name):
    host = states.tagged(states.host("bookworm", "13-complete-inactive"))
    lvs = tuple(lv._replace(half=True) if lv.name == name else lv for lv in host.lvm.lvs)
    due = ["lvchange --activate n vgdocker/" + name, ON_POOL, *PROFILE, MONITOR]
    expect(states.spec(), host._replace(lvm=host.lvm._replace(lvs=lvs)), due)


def test_an_inactive_pool_beside_a_stray_metadata_lv_is_looked_at_before_anything_is_swapped():
    host = states.tagged(states.host("bookworm", "30-converted-plus-stray-meta"))
    lvs = tuple(lv._replace(active=False, data_percent=None) if lv.name == "thinpool" else lv for lv in host.lvm.lvs)
    with pytest.raises(Refused) as refusal:
        plan.plan(states.spec(), host._replace(lvm=host.lvm._replace(lvs=lvs)))
    assert "lvchange -ay vgdocker/thinpool && lvs vgdocker/thinpool" in str(refusal.value)
    assert "lvconvert" not in str(refusal.value)
    used = tuple(lv._replace(data_percent=12.5) if lv.name == "thinpool" else lv for lv in host.lvm.lvs)
    expect(states.spec(), host._replace(lvm=host.lvm._replace(lvs=used)), [*PROFILE, ATTACH])


def test_thin_check_has_the_time_to_read_large_metadata_when_the_pool_is_activated():
    host = states.tagged(states.host("bookworm", "13-complete-inactive"))
    bounds = {step.argv: step.timeout for step in plan.plan(states.spec(), host).steps if isinstance(step, Command)}
    assert bounds[tuple(ON_POOL.split())] == 6 * 3600
    assert bounds[tuple(MONITOR.split())] is None


def test_a_plain_lv_of_ours_with_another_size_is_refused():
    host = states.tagged(states.host("bookworm", "03-data-lv-only"))
    expect(states.spec()._replace(pool=states.ARTICLE), host, "instead of the wanted 22.50g")


def test_a_plain_lv_of_ours_that_is_mounted_is_refused():
    expect(states.spec(), states.tagged(states.host("bookworm", "12-thinpool-linear-mounted")), "in use")


def test_a_smaller_pool_is_refused_and_one_that_autoextend_made_larger_is_not():
    host = states.tagged(states.host("bookworm", "07-complete-profile-attached"))
    smaller = states.spec()._replace(pool=states.ARTICLE)
    expect(smaller, host, "thin_pool_data_size: 95%VG")
    vg = host.lvm.vgs[0]._replace(tags=("direct-lvm", "direct-lvm/data_size=75pcVG"))
    expect(smaller, host._replace(lvm=host.lvm._replace(vgs=(vg,))), PROFILE)


@pytest.mark.parametrize("before", ["50pcVG", "20G", "23036M", "what-a-later-release-writes"])
def test_a_larger_wish_that_autoextend_has_met_already_is_noted_and_no_more(before):
    host = states.tagged(states.host("bookworm", "07-complete-profile-attached"))
    vg = host.lvm.vgs[0]._replace(tags=("direct-lvm", "direct-lvm/data_size=" + before))
    note = "vgchange --deltag direct-lvm/data_size=%s --addtag direct-lvm/data_size=75pcVG vgdocker" % before
    found = host._replace(lvm=host.lvm._replace(vgs=(vg,)))
    expect(states.spec()._replace(pool=states.ARTICLE), found, [note, *PROFILE])


def test_a_second_disk_extends_the_vg_and_the_pool():
    host = states.tagged(states.host("bookworm", "07-complete-profile-attached"))
    second = host.disks[0]._replace(asked="/dev/vdd", path="/dev/vdd", signatures=(), holders=(), our_pv_uuid="other")
    expect(
        states.spec(devices=("/dev/vdb", "/dev/vdd")),
        host._replace(disks=(*host.disks, second)),
        [
            "pvcreate --uuid other --norestorefile /dev/vdd",
            "vgextend vgdocker /dev/vdd",
            "lvextend --poolmetadatasize +%db vgdocker/thinpool" % (77 * 4194304),
            "lvextend --extents +7295 vgdocker/thinpool",
            *PROFILE,
        ],
    )


def test_a_grown_disk_is_resized_and_the_pool_with_it():
    host = states.tagged(states.host("bookworm", "07-complete-profile-attached"))
    pv = host.lvm.pvs[0]._replace(dev_size=60 * states.GIB)
    due = plan.plan(states.spec(), host._replace(lvm=host.lvm._replace(pvs=(pv,)))).steps
    assert shown(due)[0] == "pvresize /dev/vdb"
    assert "lvextend --extents +7296 vgdocker/thinpool" in shown(due)


@pytest.mark.parametrize(
    ("wanted", "due"),
    [("600M", "lvextend --poolmetadatasize +310378496b vgdocker/thinpool"), ("16G", "LVM takes 2 MiB"), ("100M", None)],
    ids=["larger", "out-of-bounds", "smaller-is-left-as-autoextend-may-have-made-it"],
)
def test_another_size_of_the_metadata(wanted, due):
    host = states.tagged(states.host("bookworm", "07-complete-profile-attached"))._replace(profile_text=states.PROFILE)
    vg = host.lvm.vgs[0]._replace(extents=7800, free=353)
    host = host._replace(lvm=host.lvm._replace(vgs=(vg,)))
    changes = {"metadata_size": read_size(wanted, "thin_pool_metadata_size"), "data_size": read_size("95%VG", "")}
    spec = states.spec()._replace(pool=states.spec().pool._replace(**changes))
    steps = due if due and due.startswith("LVM") else [due] if due else []
    expect(spec, with_size(host, 7800 * 95 // 100), steps)


def with_size(host, extents):
    """The host with a pool of that many extents."""
    lvs = tuple(lv._replace(size=extents * 4194304) if lv.name == "thinpool" else lv for lv in host.lvm.lvs)
    return host._replace(lvm=host.lvm._replace(lvs=lvs))


@pytest.mark.parametrize(
    ("use", "threshold", "due"), [(100.0, 80, True), (80.0, 80, False), (100.0, 100, False), (None, 80, False)]
)
def test_a_pool_over_the_threshold_of_a_new_policy_is_extended_at_once(use, threshold, due):
    host = states.tagged(states.host("bookworm", "07-complete-profile-attached"))
    lvs = tuple(lv._replace(data_percent=use) if lv.name == "thinpool" else lv for lv in host.lvm.lvs)
    host = host._replace(lvm=host.lvm._replace(lvs=lvs))
    spec = states.spec(autoextend_threshold=threshold)
    expect(spec, host, PROFILE + ["lvextend --use-policies vgdocker/thinpool"] * due)
    expect(spec, host._replace(profile_text=own_files.profile(spec.pool)), [])


def test_a_host_whose_lvm_is_told_to_watch_nothing_is_refused():
    host = states.tagged(states.host("bookworm", "07-complete-profile-attached"))
    lvs = tuple(lv._replace(monitored=None) if lv.name == "thinpool" else lv for lv in host.lvm.lvs)
    expect(states.spec(), host._replace(lvm=host.lvm._replace(lvs=lvs)), "lvmconfig --type full activation/monitoring")
    pending = tuple(lv._replace(monitored=False) if lv.name == "thinpool" else lv for lv in host.lvm.lvs)
    expect(states.spec(), host._replace(lvm=host.lvm._replace(lvs=pending)), [*PROFILE, MONITOR])


@pytest.mark.parametrize(
    ("text", "due"),
    [
        (states.PROFILE.replace("80", "70"), "is the policy of vgother/pool too"),
        (states.PROFILE, [ATTACH]),
        (states.PROFILE.replace("# From", "# Policy of thin pool vgother/pool: from"), [ATTACH]),  # as the roles wrote it once
        (None, [*PROFILE, ATTACH]),
    ],
    ids=["another-policy", "the-same-policy", "with-another-comment", "the-file-is-gone"],
)
def test_a_second_pool_with_the_same_profile(text, due):
    host = states.tagged(states.host("bookworm", "05-converted-no-profile"))
    other = host.lvm.lv("vgdocker", "thinpool")._replace(vg="vgother", name="pool", profile="docker-thinpool")
    host = host._replace(lvm=host.lvm._replace(lvs=(*host.lvm.lvs, other)), profile_text=text)
    expect(states.spec(), host, due)


def test_the_same_facts_give_the_same_plan():
    host = states.host("bookworm", "00-blank")
    assert plan.plan(states.spec(), host).steps == plan.plan(states.spec(), host).steps


def test_the_article_can_never_extend_itself_and_the_default_can():
    host = states.host("bookworm", "00-blank")
    (sentence,) = plan.plan(states.spec(), host).warnings
    assert "needs 1824 extents" in sentence
    assert "232 free" in sentence
    default = states.spec()._replace(pool=states.ARTICLE)
    assert plan.plan(default, host).warnings == ()
    with pytest.raises(Refused, match="autoextend can never run"):
        plan.plan(states.spec(require_autoextend=True), host)


def test_a_pool_that_is_there_and_can_never_extend_itself_is_refused_where_that_is_required():
    host = states.tagged(states.host("bookworm", "07-complete-profile-attached"))
    expect(states.spec(require_autoextend=True), host, "autoextend can never run")
    vg = host.lvm.vgs[0]._replace(extents=9679, free=2232, tags=("direct-lvm", "direct-lvm/data_size=75pcVG"))
    larger = host._replace(lvm=host.lvm._replace(vgs=(vg,)), profile_text=states.PROFILE)
    sizes = {"data_size": states.ARTICLE.data_size, "metadata_size": read_size("304M", "")}
    wanted = states.spec()._replace(pool=states.ARTICLE._replace(require_autoextend=True, **sizes))
    expect(wanted, larger, [])


def test_autoextend_switched_off_is_no_reason_to_warn():
    assert plan.plan(states.spec(autoextend_threshold=100), states.host("bookworm", "00-blank")).warnings == ()


def with_stray(tag=None, **changes):
    """A pool without a spare, beside an LV that may be one, half-made."""
    found = states.tagged(states.host("bookworm", "40-lvconvert-killed-at-write-05"))
    lvs = tuple(lv._replace(**changes) if lv.name == "lvol0" else lv for lv in found.lvm.lvs)
    vgs = tuple(vg._replace(tags=vg.tags + ((tag,) if tag else ())) for vg in found.lvm.vgs)
    return found._replace(lvm=found.lvm._replace(lvs=lvs, vgs=vgs))


@pytest.mark.parametrize(
    ("host", "steps"),
    [
        (with_stray(), STRAY),
        (with_stray(active=True), STRAY[1:]),
        (with_stray(half=True), ["lvchange --activate n vgdocker/lvol0", *STRAY]),
    ],
    ids=["inactive", "after-a-boot", "killed-while-it-was-activated"],
)
def test_the_spare_that_a_killed_lvconvert_left_half_made_is_looked_at_and_removed(host, steps):
    assert shown(plan.plan(states.spec(), host).steps)[: len(steps)] == steps


@pytest.mark.parametrize(
    ("host", "changes"),
    [
        (with_stray(active=True, open=True), {}),
        (with_stray(tags=("theirs",)), {}),
        (with_stray(), {"adopt_vg": True}),
        (with_stray(ADOPTED_TAG), {}),
    ],
    ids=["in-use", "with-a-tag", "in-an-adopted-vg", "in-a-vg-adopted-before"],
)
def test_an_lv_that_may_be_the_operators_is_left_alone(host, changes):
    assert not [line for line in shown(plan.plan(states.spec(**changes), host).steps) if "lvol0" in line]


@pytest.mark.parametrize(("host", "adopt"), [(with_stray(), True), (with_stray(ADOPTED_TAG), False)], ids=["now", "before"])
def test_what_looks_like_a_spare_in_an_adopted_vg_is_told(host, adopt):
    (sentence,) = [one for one in plan.plan(states.spec(adopt_vg=adopt), host).warnings if "lvol0" in one]
    assert "lvremove vgdocker/lvol0" in sentence
    assert not [one for one in plan.plan(states.spec(), with_stray()).warnings if "lvol0" in one]
