"""Which engine a host gets, and the words of the refusals."""

import pytest

from module_utils.direct_lvm import engines
from module_utils.direct_lvm.containerd_config import Containerd
from module_utils.direct_lvm.model import Refused, Unit

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


def test_a_host_without_docker_gets_containerd_when_it_has_one():
    chosen = engines.choose("auto", None, THERE)
    assert chosen == ("containerd", "there is no Docker on this host, and containerd is")
    for containerd in (ABSENT, None):
        with pytest.raises(Refused, match="neither is containerd"):
            engines.choose("auto", None, containerd)
