"""Docker's half of the planner: when it may move to the pool, with which steps, and when it is left alone."""

import pytest
import states

from module_utils.direct_lvm import plan, report
from module_utils.direct_lvm.model import MANAGED, Docker, DockerInfo, DockerStorage, Refused, Unit

DROPIN = "/etc/systemd/system/docker.service.d/daemon.conf"
VENDOR = "/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS"
OPTIONS = " --storage-driver=devicemapper --storage-opt dm.thinpooldev=/dev/mapper/vgdocker-thinpool"
WANTED = DockerStorage("auto", DROPIN, MANAGED + "\n[Service]\nExecStart=\nExecStart=@@VENDOR_COMMAND@@" + OPTIONS + "\n")
TEXT = WANTED.dropin_text.replace("@@VENDOR_COMMAND@@", VENDOR)
UNIT = Unit("loaded", "active", False, (), VENDOR, socket_active=True, socket_exists=True)
OVERLAY = DockerInfo("20.10.24+dfsg1", "overlay2", (("Backing Filesystem", "extfs"),), "/var/lib/docker", 0, 0)
ON_POOL = DockerInfo(
    "20.10.24+dfsg1",
    "devicemapper",
    (("Pool Name", "vgdocker-thinpool"), ("Pool Blocksize", "524.3kB"), ("Backing Filesystem", "xfs")),
    "/var/lib/docker",
    0,
    0,
)
FRESH = Docker("20.10.24+dfsg1", UNIT, OVERLAY)
DONE = Docker("20.10.24+dfsg1", UNIT, ON_POOL, dropin_text=TEXT)
SWITCH = [
    "systemctl stop docker.socket docker.service",
    DROPIN,
    "systemctl daemon-reload",
    "systemctl reset-failed docker.service",
    "systemctl start --no-block docker.socket docker.service",
    "docker info",
]


def due(docker, wanted=WANTED, state="07-complete-profile-attached"):
    """The planned lines for Docker on a host whose pool is finished."""
    host = states.tagged(states.host("bookworm", state))._replace(profile_text=states.PROFILE, docker=docker)
    steps = report.describe(plan.plan(states.spec()._replace(docker=wanted), host))
    return [" ".join(step.get("argv", ())) or step.get("file") or step["check"] for step in steps]


TABLE = [
    ("as-the-package-starts-it", FRESH, SWITCH),
    ("on-the-pool", DONE, []),
    ("killed-before-daemon-reload", DONE._replace(info=OVERLAY, unit=UNIT._replace(need_reload=True)), SWITCH),
    ("killed-before-start", DONE._replace(info=None, unit=UNIT._replace(active_state="inactive")), SWITCH),
    ("killed-before-the-dropin", FRESH._replace(info=None, unit=UNIT._replace(active_state="inactive")), SWITCH),
    ("dropin-written-daemon-never-restarted", FRESH._replace(dropin_text=TEXT), SWITCH),
    ("vendor-command-has-changed", DONE._replace(unit=UNIT._replace(command="/usr/bin/dockerd")), SWITCH),
    (
        "no-socket-unit",
        FRESH._replace(unit=UNIT._replace(socket_exists=False)),
        [s.replace("docker.socket ", "") for s in SWITCH],
    ),
    (
        "images-on-the-same-pool-survive-a-restart",
        DONE._replace(info=ON_POOL._replace(images=3), dropin_text="x"),
        SWITCH,
    ),
]


@pytest.mark.parametrize(("docker", "steps"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_steps(docker, steps):
    assert due(docker) == steps


def test_on_a_blank_host_the_switch_comes_last():
    assert due(FRESH, state="00-blank")[-6:] == SWITCH


STOPPED = FRESH._replace(info=None, problem="docker.service is inactive", unit=UNIT._replace(active_state="inactive"))
REFUSED = [
    ("not-installed", Docker(None), "Docker is not installed"),
    ("docker-25", FRESH._replace(version="26.1.5+dfsg1"), "removed in Docker 25.0"),
    ("docker-23", FRESH._replace(version="23.0.6"), "docker_storage_engine: devicemapper"),
    ("conflict", FRESH._replace(conflicts=("daemon.json says storage-driver",)), "daemon.json says storage-driver"),
    ("images", FRESH._replace(images=("4f1 busybox:1 1MB",)), "holds 1 image (4f1 busybox:1 1MB)"),
    ("containers", FRESH._replace(containers=("a", "b")), "holds 2 containers (a, b)"),
    ("volumes", FRESH._replace(volumes=("data",)), "1 volume (data)"),
    ("stopped-with-images", STOPPED._replace(root_state=("overlay2", "image/overlay2")), "image/overlay2"),
    ("stopped-with-volumes", STOPPED._replace(root_state=("volumes",)), "systemctl start docker"),
]


@pytest.mark.parametrize(("docker", "sentence"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(docker, sentence):
    with pytest.raises(Refused) as refusal:
        due(docker)
    assert sentence in str(refusal.value)


def test_docker_23_on_explicit_choice():
    assert due(FRESH._replace(version="23.0.6"), WANTED._replace(engine="devicemapper")) == SWITCH


def test_the_way_back_restores_what_was_there():
    host = states.tagged(states.host("bookworm", "07-complete-profile-attached"))._replace(profile_text=states.PROFILE)
    spec = states.spec()._replace(docker=WANTED)
    (fresh,) = plan.plan(spec, host._replace(docker=FRESH))
    assert "RemoveFile" in [type(step).__name__ for step in fresh.way_back]
    (changed,) = plan.plan(spec, host._replace(docker=DONE._replace(dropin_text="former\n", info=OVERLAY)))
    assert ("former\n", DROPIN) in [(getattr(step, "text", ""), getattr(step, "path", "")) for step in changed.way_back]
