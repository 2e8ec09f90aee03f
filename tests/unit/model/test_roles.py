"""Which roles carry a plan out, and whether they need a call each."""

import pytest

from module_utils.direct_lvm.model.engines import ENGINES, Engine
from module_utils.direct_lvm.model.host import Container, Image
from module_utils.direct_lvm.model.plan import STORAGE, Plan
from module_utils.direct_lvm.model.steps import ArchiveImage, Command, KeepContainer, LoadImage, Transaction, UntilMoved

IMAGE, CONTAINER = Image("sha256:1", ("app:1",), 7), Container("c1", "web", "app:1", "Up", True)
MAKE = Command(("pvcreate", "/dev/sdb"), "test")
SWITCH = Transaction((Command(("systemctl", "stop", "docker.service"), "test"),), (), "test")
LOAD = LoadImage("unix:///x", IMAGE, "/x", True, "test")


@pytest.mark.parametrize(
    ("steps", "engine", "roles"),
    [
        ((), "devicemapper", []),
        ((), None, []),
        ((MAKE,), None, ["thin_pool"]),
        ((MAKE, SWITCH), "devicemapper", ["thin_pool", "image_archive", "docker_storage"]),
        ((MAKE, SWITCH), "docker-devmapper", ["thin_pool", "image_archive", "containerd_storage", "docker_storage"]),
        ((SWITCH,), "containerd", ["thin_pool", "image_archive", "containerd_storage"]),
    ],
)
def test_the_roles_that_carry_steps_out(steps, engine, roles):
    assert list(Plan(steps, engine=engine and Engine(engine, "test")).roles) == roles


def test_each_engine_has_its_roles():
    assert set(STORAGE) == set(ENGINES)


@pytest.mark.parametrize(
    ("steps", "between"),
    [
        ((), False),
        ((MAKE, SWITCH, LOAD), False),
        ((MAKE, ArchiveImage("unix:///x", IMAGE, "/x", "test"), SWITCH, LOAD), True),
        ((KeepContainer("unix:///x", CONTAINER, "/x", False, "test"), SWITCH), True),
        ((MAKE, UntilMoved("/dev/sdb", "test"), MAKE), True),
    ],
    ids=["nothing", "pool-and-switch", "an-image", "a-container", "a-disk"],
)
def test_whether_something_is_due_between_pool_and_switch(steps, between):
    assert Plan(steps).between == between
