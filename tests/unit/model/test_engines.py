"""Which engine a host gets, and the words of the refusals."""

import pytest
import states

from module_utils.direct_lvm.apply import report
from module_utils.direct_lvm.model import engines
from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Containerd, Docker, DockerInfo, Unit
from module_utils.direct_lvm.model.spec import ContainerdStorage, DockerStorage
from module_utils.direct_lvm.plan import health, plan
from module_utils.direct_lvm.texts import docker_info

THERE = Containerd(Unit("loaded", "active", False, ()))
ABSENT = Containerd(Unit("not-found", "inactive", False, ()))
TABLE = [  # Docker's version, what is asked, the engine or words of the refusal
    ("1.11.1", "auto", "devicemapper"),
    ("1.13.1-rhel", "auto", "devicemapper"),
    ("17.03.1-ce", "auto", "devicemapper"),
    ("18.09.1", "devicemapper", "devicemapper"),
    ("20.10.24+dfsg1", "auto", "devicemapper"),
    ("20.10.24+dfsg1", "docker-devmapper", "playbooks/upgrade.yml"),
    ("20.10.24+dfsg1", "containerd", "containerd"),
    ("23.0.1", "auto", "docker_storage_engine: devicemapper"),
    ("23.0.1", "devicemapper", "devicemapper"),
    ("v24.0.7", "auto", "docker_storage_engine: devicemapper"),
    ("v24.0.7", "devicemapper", "devicemapper"),
    ("24.0.7", "docker-devmapper", "came with Docker 25.0"),
    ("25.0.0-beta.1", "devicemapper", "removed in Docker 25.0"),
    ("25.0.0", "auto", "docker-devmapper"),
    ("26.1.5+dfsg1", "auto", "docker-devmapper"),
    ("28.5.2+dfsg4", "docker-devmapper", "docker-devmapper"),
    ("28.5.2+dfsg4", "devicemapper", "docker_storage_engine: auto"),
    ("28.5.2+dfsg4", "containerd", "containerd"),
    (None, "containerd", "containerd"),
    (None, "docker-devmapper", "Docker is not installed"),
    (None, "devicemapper", "Docker is not installed"),
    ("", "auto", "cannot be told"),
    ("dev", "devicemapper", "cannot be told"),
    ("library-import", "auto", "cannot be told"),
    ("20", "auto", "cannot be told"),
    ("99999999999.1", "auto", "cannot be told"),
]


@pytest.mark.parametrize(("version", "asked", "expected"), TABLE, ids=["%s-%s" % row[:2] for row in TABLE])
def test_choose(version, asked, expected):
    if expected in engines.ENGINES:
        chosen = engines.choose(asked, version, THERE)
        assert chosen.name == expected
        assert chosen.why
        assert engines.needs_containerd(asked, version) == (expected != "devicemapper")
    else:
        with pytest.raises(Refused) as refused:
            engines.choose(asked, version, THERE)
        assert expected in str(refused.value)


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ("1.11.1", True),
        ("20.10.24+dfsg1", True),
        ("v24.0.7", True),
        ("24.99.9", True),
        ("25.0.0-beta.1", False),
        ("25.0.0", False),
        ("28.5.2+dfsg4", False),
        ("dev", None),
        ("", None),
        (None, None),
    ],
)
def test_which_docker_has_the_graph_driver(version, has):
    assert engines.has_devicemapper(version) is has
    assert report.docker_summary(Docker(version))["has_devicemapper"] is has


def test_a_host_without_docker_gets_containerd_when_it_has_one():
    chosen = engines.choose("auto", None, THERE)
    assert chosen == ("containerd", "there is no Docker on this host, and containerd is")
    for containerd in (ABSENT, None):
        with pytest.raises(Refused, match="neither is containerd"):
            engines.choose("auto", None, containerd)


CONTAINERD = ContainerdStorage("/c.toml", "", "/d.conf", "")
ASKED = [  # Docker's part of the spec, containerd's, Docker's version: the engine's name, None, or words of the refusal
    (None, None, "26.1.5", None),
    (None, CONTAINERD, "26.1.5", "containerd"),
    (None, CONTAINERD, None, "containerd"),
    ("auto", CONTAINERD, "20.10.24", "devicemapper"),
    ("auto", CONTAINERD, "26.1.5", "docker-devmapper"),
    ("containerd", CONTAINERD, "20.10.24", "containerd"),
    ("containerd", CONTAINERD, None, "containerd"),
    ("devicemapper", CONTAINERD, "26.1.5", "was removed in Docker 25.0"),
]


@pytest.mark.parametrize(("engine", "containerd", "version", "expected"), ASKED)
def test_the_engine_of_a_spec(engine, containerd, version, expected):
    docker = engine and DockerStorage(engine, "")
    spec = states.spec()._replace(docker=docker, containerd=containerd)
    host = states.host("bookworm", "00-blank")._replace(docker=Docker(version), containerd=THERE)
    if expected and expected not in engines.ENGINES:
        with pytest.raises(Refused, match=expected):
            plan.engine(spec, host)
    else:
        chosen = plan.engine(spec, host)
        assert (chosen and chosen.name) == expected
    assert plan.plan(spec._replace(goal="remove"), host).engine is None


GRAPH = DockerInfo("20.10.24", "devicemapper", (("Pool Name", "vgdocker-thinpool"),), "/var/lib/docker", 0, 0)
LOOP = GRAPH._replace(status=(("Pool Name", "docker-254:0-1-pool"), ("Data loop file", "/x")))
OVERLAY = GRAPH._replace(driver="overlay2", status=())
STORE, _problem = docker_info.parse_info_json(states.recorded("containerd", "trixie", "docker-info.json"))
OURS, OTHER = ("vgdocker-thinpool",), ("vgother-thinpool",)
IN_USE = [
    ("nobody", None, (), None),
    ("graph-driver", GRAPH, (), "devicemapper"),
    ("graph-driver-on-another-pool", GRAPH._replace(status=(("Pool Name", "vgother-thinpool"),)), (), None),
    ("loop-files", LOOP, (), None),
    ("overlay2", OVERLAY, (), None),
    ("image-store", STORE, OURS, "docker-devmapper"),
    ("image-store-on-another-pool", STORE, OTHER, None),
    ("image-store-that-containerd-does-not-name", STORE, (), None),
    ("containerd-alone", None, OURS, "containerd"),
    ("containerd-beside-docker", OVERLAY, OURS, "containerd"),
    ("containerd-on-another-pool", OVERLAY, OTHER, None),
]


@pytest.mark.parametrize(("info", "pools", "engine"), [row[1:] for row in IN_USE], ids=[row[0] for row in IN_USE])
def test_the_engine_in_use(info, pools, engine):
    spec, docker = states.spec(), Docker(info.version, info=info) if info else None
    host = states.host("bookworm", "07-complete-profile-attached")._replace(docker=docker, snapshotter_pools=pools)
    assert health.engine_in_use(spec.pool, host) == engine
    assert report.summary(spec.pool, host)["engine"] == engine
    blank = states.host("bookworm", "00-blank")._replace(docker=docker, snapshotter_pools=pools)
    assert health.engine_in_use(spec.pool, blank) is None


def test_what_is_told_of_containerd():
    told = {"active": True, "snapshotter": "error", "problem": "no device"}
    assert report.containerd_summary(THERE._replace(plugin="error", problem="no device")) == told
    assert report.containerd_summary(ABSENT) is None
    assert report.containerd_summary(None) is None
