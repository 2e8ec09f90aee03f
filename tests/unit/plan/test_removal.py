"""Removing: what carries our tag and nobody uses, and nothing else."""

import pytest
import states
from containerd_hosts import CONF, CONFIG, DEBIAN, NEW, OWN, RESTART, ROOT, SNAPSHOTTER, STORE, THERE, configured
from pools_in_use import ALL, ON_POOL, SPEC, due

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Docker, Unit
from module_utils.direct_lvm.model.names import ADOPTED_TAG, TAG
from module_utils.direct_lvm.model.steps import Transaction
from module_utils.direct_lvm.plan import plan
from module_utils.direct_lvm.texts.containerd_config import with_import

LVREMOVE = "lvremove --yes vgdocker/"
OPTIONS = '{"storage-opts": ["dm.thinpooldev=%s"]}'
ESCAPED = OPTIONS % r"\/dev\/mapper\/vgdocker\u002dthinpool"
LOOK, ON = "/dev/vgdocker/thinpool", "lvchange --activate y vgdocker/thinpool"
GIVE_UP = "vgchange --deltag direct-lvm --deltag direct-lvm/data_size=95pcVG vgdocker"
STRAY = ["lvchange --activate y vgdocker/lvol0", "/dev/vgdocker/lvol0", LVREMOVE + "lvol0"]
PROFILE = "/etc/lvm/profile/docker-thinpool.profile"
STOPPED = Docker(
    "20.10.24",
    Unit(
        "loaded",
        "inactive",
        False,
        (
            ("/lib/systemd/system/docker.service", "[Service]\n"),
            (
                "/etc/systemd/system/docker.service.d/lvm.conf",
                "[Service]\nEnvironment=O=--storage-opt=dm.thinpooldev=/dev/mapper/vgdocker-thinpool\n",
            ),
        ),
    ),
)


# What docker-storage-setup writes on the RHEL family.
ENVIRONMENT = 'DOCKER_STORAGE_OPTIONS="--storage-driver devicemapper --storage-opt dm.thinpooldev=/dev/mapper/vgdocker-thinpool"\n'


def with_environment(text):
    """A Docker that is stopped, and has an EnvironmentFile with that text."""
    unit = STOPPED.unit._replace(files=STOPPED.unit.files[:1])
    return STOPPED._replace(unit=unit, env_files=(("/etc/sysconfig/docker-storage", text),))


def finished(**changes):
    host = states.tagged(states.host("bookworm", "07-complete-profile-attached"))
    return host._replace(**dict({"profile_text": states.PROFILE, "docker": Docker(None)}, **changes))


def with_pool(host, **changes):
    lvs = tuple(lv._replace(**changes) if lv.name == "thinpool" else lv for lv in host.lvm.lvs)
    return host._replace(lvm=host.lvm._replace(lvs=lvs))


def with_lvs(host, **lvs):
    """The host with plain LVs, or with those that are there changed: name=changes."""
    plain = host.lvm.lv("vgdocker", "thinpool")._replace(segtype="linear", size=states.GIB, profile="", tags=(), pool_lv="")
    there = {lv.name: lv for lv in host.lvm.lvs}
    there.update({name: there.get(name, plain._replace(name=name))._replace(**changes) for name, changes in lvs.items()})
    return host._replace(lvm=host.lvm._replace(lvs=tuple(there.values())))


def twice(host):
    """The host with a second VG of that name, as after a disk of another host was brought."""
    return host._replace(lvm=host.lvm._replace(vgs=(*host.lvm.vgs, host.lvm.vgs[0]._replace(uuid="other-uuid"))))


KILLED = with_pool(states.tagged(states.host("bookworm", "40-lvconvert-killed-at-write-05")), data_percent=0.0)


@pytest.mark.parametrize(
    ("host", "steps"),
    [
        (finished(), [*ALL, PROFILE]),
        (finished(profile_text="written by hand\n"), ALL),
        (finished(docker=Docker("20.10.24", daemon_json=OPTIONS % "/dev/mapper/vgdocker-thinpool2")), [*ALL, PROFILE]),
        (finished(docker=Docker("20.10.24", daemon_json='{"labels": ["was=vgdocker-thinpool"]}')), [*ALL, PROFILE]),
        (states.tagged(states.host("bookworm", "02-vg")), ALL[1:]),
        (
            states.tagged(states.host("bookworm", "04-data-and-meta-not-converted")),
            [LOOK, ALL[0], LOOK + "meta", LVREMOVE + "thinpoolmeta", *ALL[1:]],
        ),
        (
            states.tagged(states.host("bookworm", "29-both-not-converted-inactive")),
            [ON, LOOK, ALL[0], ON + "meta", LOOK + "meta", LVREMOVE + "thinpoolmeta", *ALL[1:]],
        ),
        (states.tagged(states.host("bookworm", "28-vg-with-foreign-lv")), [GIVE_UP]),
        (states.host("bookworm", "28-vg-with-foreign-lv"), []),
        (states.host("bookworm", "02-vg"), []),
        (finished(docker=with_environment("#O=dm.thinpooldev=/dev/mapper/vgdocker-thinpool\n")), [*ALL, PROFILE]),
        (with_lvs(finished(), other={}), [ALL[0], GIVE_UP, PROFILE]),
        (with_lvs(finished(), second={"tags": (TAG,), "segtype": "thin-pool"}), [ALL[0], PROFILE]),
        (with_lvs(finished(), thinpoolspare={"tags": (TAG,), "segtype": "thin-pool"}), [LVREMOVE + "thinpoolspare", *ALL, PROFILE]),
        (with_lvs(finished(), thinpoolspare={}), [ALL[0], GIVE_UP, PROFILE]),
        (KILLED, [*STRAY, *ALL]),
        (with_lvs(KILLED, lvol0={"active": True}), [*STRAY[1:], *ALL]),
        (with_lvs(KILLED, lvol0={"size": 4194304}), [ALL[0], GIVE_UP]),
        (states.host("bookworm", "00-blank"), []),
        (states.host("bookworm", "19-disk-ext4"), []),
        (states.host("bookworm", "01-pv-only"), []),
    ],
    ids=[
        "finished",
        "foreign-profile",
        "docker-uses-another-pool-with-a-longer-name",
        "a-label-in-daemon-json-names-it",
        "vg-only",
        "plain-lvs-are-looked-at",
        "plain-lvs-after-a-boot",
        "foreign-lv-stays-and-its-vg-with-it",
        "given-up-before",
        "given-up-and-emptied-by-its-owner",
        "a-comment-of-an-environment-file-names-it",
        "finished-beside-a-foreign-lv",
        "finished-beside-another-pool-of-ours",
        "killed-while-a-spare-was-made",
        "somebody-elses-thinpoolspare",
        "lvconvert-was-killed",
        "lvconvert-was-killed-and-the-host-booted",
        "somebody-elses-lvol0",
        "blank",
        "ext4",
        "foreign-orphan-pv",
    ],
)
def test_removed(host, steps):
    assert due(host) == steps


def test_a_profile_that_another_pool_has_stays():
    host = finished()
    other = host.lvm.lv("vgdocker", "thinpool")._replace(vg="vgother", name="pool")
    assert due(host._replace(lvm=host.lvm._replace(lvs=(*host.lvm.lvs, other)))) == ALL


@pytest.mark.parametrize(
    ("host", "told"),
    [
        (states.tagged(states.host("bookworm", "28-vg-with-foreign-lv")), "it holds other, which this tool did not make."),
        (states.host("bookworm", "28-vg-with-foreign-lv"), "it holds other, which this tool did not make."),
        (
            with_lvs(finished(), second={"tags": (TAG,), "segtype": "thin-pool"}, other={}),
            "it holds second, other, of which this tool made second for another pool.",
        ),
        (states.host("bookworm", "02-vg"), "it does not carry our tag. If nobody needs it: vgremove vgdocker"),
    ],
    ids=["foreign-lv", "given-up", "another-pool-of-ours", "given-up-and-emptied-by-its-owner"],
)
def test_what_stays_is_told(host, told):
    assert plan.plan(SPEC, host).warnings == ("VG vgdocker stays: " + told,)


def test_in_an_adopted_vg_only_the_pool_and_what_carries_our_tag_go():
    spec = SPEC._replace(pool=SPEC.pool._replace(adopt_vg=True, remove_data=True))
    assert due(KILLED, spec) == [ALL[0], GIVE_UP]
    vg = KILLED.lvm.vgs[0]
    before = KILLED._replace(lvm=KILLED.lvm._replace(vgs=(vg._replace(tags=(*vg.tags, ADOPTED_TAG)),)))
    give_up = GIVE_UP.replace(" vgdocker", " --deltag %s vgdocker" % ADOPTED_TAG)
    assert due(before, SPEC._replace(pool=SPEC.pool._replace(remove_data=True))) == [ALL[0], give_up]
    host = with_lvs(finished(), thinpool_meta0={}, thinpoolspare={"tags": (TAG,)})
    assert due(host, spec) == [LVREMOVE + "thinpoolspare", ALL[0], GIVE_UP, PROFILE]


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        (states.host("bookworm", "07-complete-profile-attached"), "was not made by this tool"),
        (finished(docker=Docker("20.10.24", info=ON_POOL)), "Docker uses pool vgdocker/thinpool"),
        (finished(docker=Docker("20.10.24", daemon_json=OPTIONS % "/dev/mapper/vgdocker-thinpool")), "daemon.json still tells"),
        (finished(docker=Docker("20.10.24", daemon_json=ESCAPED)), "daemon.json still tells"),
        (finished(docker=Docker("20.10.24", daemon_json="{# vgdocker-thinpool")), "daemon.json still tells"),
        (finished(docker=STOPPED), "docker.service.d/lvm.conf still tells Docker to use pool vgdocker/thinpool"),
        (finished(docker=with_environment(ENVIRONMENT)), "/etc/sysconfig/docker-storage still tells Docker to use pool"),
        (finished(docker=STOPPED._replace(version=None)), "docker.service.d/lvm.conf still tells Docker"),
        (finished(snapshotter_pools=("vgdocker-thinpool",)), "containerd is configured"),
        (
            with_lvs(finished(), thinpool_meta0={}),
            "holds the metadata that pool vgdocker/thinpool had before a repair",
        ),
        (with_pool(finished(), open=True), "thin volumes of it are active"),
        (with_pool(finished(), data_percent=12.5), "thin_pool_remove_data: true"),
        (with_pool(finished(), data_percent=None, active=False), "its use is not known"),
        (
            states.tagged(states.host("bookworm", "11-thinpool-is-linear-lv-with-ext4"), lvs=False),
            "plain LV without our tag",
        ),
        (states.tagged(states.host("bookworm", "33-metadata-swapped-by-naive-rerun")), "swap back first"),
        (twice(finished()), "vgrename other-uuid NEWNAME"),
        (states.tagged(states.host("bookworm", "25-vg-exported")), "exported"),
        (states.tagged(states.host("bookworm", "26-vg-missing-pv")), "missing PVs"),
    ],
    ids=[
        "untagged",
        "docker",
        "daemon-json",
        "daemon-json-with-escapes",
        "daemon-json-that-cannot-be-read",
        "docker-is-stopped-and-any-dropin-names-it",
        "docker-is-stopped-and-an-environment-file-names-it",
        "docker-is-gone-and-its-dropin-is-not",
        "containerd",
        "repaired-before",
        "open",
        "used",
        "inactive",
        "foreign-lv",
        "its-metadata-were-swapped-out",
        "two-vgs-of-that-name",
        "exported",
        "missing",
    ],
)
def test_refused(host, sentence):
    with pytest.raises(Refused) as refusal:
        due(host)
    assert sentence in str(refusal.value)


def test_a_used_pool_goes_when_that_is_asked_for():
    spec = SPEC._replace(pool=SPEC.pool._replace(remove_data=True))
    with pytest.raises(Refused, match="still tells Docker"):
        due(with_pool(finished(docker=STOPPED), data_percent=12.5), spec)
    assert due(with_pool(finished(), data_percent=12.5), spec) == [*ALL, PROFILE]
    repaired = with_lvs(finished(), thinpool_meta0={})
    assert due(repaired, spec) == [LVREMOVE + "thinpool_meta0", *ALL, PROFILE]
    plain = states.tagged(states.host("bookworm", "04-data-and-meta-not-converted"))
    assert due(plain, spec) == [ALL[0], LVREMOVE + "thinpoolmeta", *ALL[1:]]
    swapped = states.tagged(states.host("bookworm", "33-metadata-swapped-by-naive-rerun"))
    assert due(swapped, spec) == [ALL[0], "lvremove --yes vgdocker/thinpoolmeta", *ALL[1:]]


# --- what containerd has of it -------------------------------------------------------------------------------------

BOTH = SPEC._replace(containerd=SNAPSHOTTER)
LOST = BOTH._replace(pool=BOTH.pool._replace(remove_data=True))
DROP = "ctr snapshots --snapshotter devmapper rm"
DATABASES = ["%s/vgdocker-thinpool.db" % ROOT, "%s/metadata.db" % ROOT]
AWAY = [CONFIG, OWN, CONF, *RESTART]
SNAPSHOTS = (("moby", "c1"), ("default", "sha256:aa"), ("moby", "sha256:bb"))


def given(containerd, docker=NEW, used=0.0, **changes):
    """A host whose containerd has the pool."""
    pools = ("vgdocker-thinpool",) if containerd.own_text else ()
    return with_pool(finished(containerd=containerd, docker=docker, snapshotter_pools=pools, **changes), data_percent=used)


HELD = configured(snapshots=SNAPSHOTS)
EMPTY = configured(snapshots=())
RUNNING = HELD._replace(tasks=(("k8s.io", "c1"), ("default", "web")))
MANY = HELD._replace(tasks=tuple(("k8s.io", "c%d" % number) for number in range(7)))


@pytest.mark.parametrize(
    ("host", "spec", "steps"),
    [
        (given(HELD, used=12.5), LOST, [DROP, *AWAY, *DATABASES, *ALL, PROFILE]),
        (with_pool(given(HELD, used=12.5), open=True), LOST, [DROP, *AWAY, *DATABASES, *ALL, PROFILE]),
        (given(EMPTY), BOTH, [*AWAY, *DATABASES, *ALL, PROFILE]),
        (given(configured(snapshots=(), databases=("other", "vgdocker-thinpool"))), BOTH, [*AWAY, DATABASES[0], *ALL, PROFILE]),
        (given(configured(plugin="error", databases=())), BOTH, [*AWAY, *DATABASES, *ALL, PROFILE]),
        (given(configured(None, snapshots=())), BOTH, [*AWAY, *DATABASES, *ALL, PROFILE]),
        (given(configured(snapshots=(), own_text=None, config_text=DEBIAN)), BOTH, [CONF, *RESTART, *DATABASES, *ALL, PROFILE]),
        (given(configured(snapshots=(), own_text=None)), BOTH, [CONFIG, CONF, *RESTART, *DATABASES, *ALL, PROFILE]),
        (given(configured(snapshots=(), dropin_text="[Service]\n")), BOTH, [CONFIG, OWN, *RESTART, *DATABASES, *ALL, PROFILE]),
        (finished(containerd=configured(snapshots=(), own_text="theirs\n")), BOTH, [CONF, *RESTART, *DATABASES, *ALL, PROFILE]),
        (finished(containerd=configured(snapshots=(), own_text="theirs\n", dropin_text="[Service]\n")), BOTH, [*ALL, PROFILE]),
        (finished(containerd=configured(snapshots=(), own_text=None, dropin_text=None)), BOTH, [*ALL, PROFILE]),
        (
            finished(
                containerd=configured(own_text=HELD.own_text.replace("vgdocker", "vgother"), snapshots=SNAPSHOTS),
                snapshotter_pools=("vgother-thinpool",),
            ),
            LOST,
            [*ALL, PROFILE],
        ),
        (
            states.host("bookworm", "00-blank")._replace(
                containerd=EMPTY, docker=Docker(None), snapshotter_pools=("vgdocker-thinpool",)
            ),
            BOTH,
            [*AWAY, *DATABASES],
        ),
    ],
    ids=[
        "with-snapshots",
        "containerds-thin-devices-hold-it-open",
        "without-snapshots",
        "another-pools-metadata-stay",
        "snapshotter-never-worked",
        "config-toml-made-by-us",
        "killed-before-the-dropin",
        "own-file-removed-by-hand",
        "foreign-dropin-stays",
        "foreign-file-stays",
        "both-foreign",
        "killed-before-the-pool",
        "it-has-another-pool",
        "pool-is-gone",
    ],
)
def test_containerd_gives_the_pool_up_first(host, spec, steps):
    assert due(host, spec) == steps


def test_config_toml_is_as_it_was_and_the_way_back_brings_the_import():
    (switch,) = [step for step in plan.plan(BOTH, given(EMPTY)).steps if isinstance(step, Transaction)]
    assert switch.service == "containerd"
    assert (switch.steps[0].path, switch.steps[0].text) == (CONFIG, DEBIAN)
    # containerd does not start when config.toml imports a file that is not there.
    assert [(step.path, step.text) for step in switch.way_back[:3]] == [
        (CONF, EMPTY.dropin_text),
        (OWN, EMPTY.own_text),
        (CONFIG, with_import(DEBIAN, OWN)),
    ]
    assert [step.plugin for step in switch.steps + switch.way_back if hasattr(step, "plugin")] == ["", ""]


def thin_volume(host):
    """The same host with a thin volume that LVM made in the pool."""
    pool = host.lvm.lv("vgdocker", "thinpool")
    volume = pool._replace(name="data", segtype="thin", pool_lv="thinpool", dm_path="/dev/mapper/vgdocker-data")
    return host._replace(lvm=host.lvm._replace(lvs=(*host.lvm.lvs, volume)))


@pytest.mark.parametrize(
    ("host", "spec", "sentence"),
    [
        (given(HELD, used=12.5), BOTH, "3 snapshots on pool vgdocker/thinpool, of images or containers in namespace default, moby"),
        (
            given(configured(plugin=None, problem="connection refused")),
            LOST,
            "does not tell what is on the pool (connection refused)",
        ),
        (given(configured(plugin="error")), LOST, "its snapshotter is not loaded"),
        (given(EMPTY, used=12.5), BOTH, "thin_pool_remove_data: true"),
        (with_pool(given(EMPTY), open=True), BOTH, "thin volumes of it are active"),
        (thin_volume(given(HELD)), LOST, "thin volumes of it are active"),
        (given(HELD, THERE), LOST, "Docker uses containerd's devmapper snapshotter on pool vgdocker/thinpool"),
        (given(HELD, THERE), BOTH, "thin_pool_remove_data: true"),
        (given(EMPTY, THERE), BOTH, "playbooks/rollback.yml"),
        (given(HELD, THERE._replace(daemon_json=None)), LOST, "playbooks/rollback.yml"),
        (given(RUNNING, used=12.5), LOST, "c1 (namespace k8s.io), web (namespace default) run on pool vgdocker/thinpool"),
        (
            given(RUNNING, used=12.5),
            LOST,
            "--namespace k8s.io tasks rm --force c1\nctr --namespace default tasks rm --force web",
        ),
        (given(RUNNING, THERE), LOST, "Docker uses containerd's devmapper snapshotter on pool vgdocker/thinpool"),
        (given(MANY, used=12.5), LOST, "c4 (namespace k8s.io) and 2 more run on pool vgdocker/thinpool"),
        (given(HELD, THERE._replace(info=None)), LOST, "daemon.json still tells Docker to use containerd's devmapper snapshotter"),
        (
            given(configured('imports = ["/a"]\n', snapshots=(), config_text='imports = [\n"%s"]' % OWN)),
            BOTH,
            "on one line yourself",
        ),
    ],
    ids=[
        "snapshots",
        "containerd-does-not-answer",
        "snapshotter-not-loaded",
        "data-that-nobody-names",
        "in-use",
        "lvms-thin-volume",
        "docker-is-on-it",
        "docker-is-on-it-and-data-are-to-stay",
        "docker-is-on-it-and-holds-nothing",
        "docker-is-on-it-by-flags",
        "containers-run",
        "containers-run-and-how-to-stop-them",
        "containers-of-docker-run",
        "many-containers-run",
        "docker-is-stopped",
        "imports-on-several-lines",
    ],
)
def test_what_containerd_holds_is_refused(host, spec, sentence):
    with pytest.raises(Refused) as refusal:
        due(host, spec)
    assert sentence in str(refusal.value)


def test_a_docker_that_is_gone_keeps_nobody_from_removing():
    gone = Docker(None, daemon_json=STORE)
    assert due(given(HELD, gone, used=1.0), LOST) == [DROP, *AWAY, *DATABASES, *ALL, PROFILE]
