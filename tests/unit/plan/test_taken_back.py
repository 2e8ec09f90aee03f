"""A switch that fails is taken back: what the record says then, so that nothing that is owed is forgotten."""

import pytest
import states
from docker_hosts import BUSYBOX, DANGLING, DONE, FRESH, WANTED, due, host

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import SwitchRecord
from module_utils.direct_lvm.model.spec import CLEAN_UP, PROVISION, ROLL_BACK
from module_utils.direct_lvm.model.steps import Transaction
from module_utils.direct_lvm.plan import plan
from module_utils.direct_lvm.texts import switch_record

OWED = SwitchRecord("done", "overlay2", pending=(BUSYBOX,), names=(("app:1", DANGLING.id),))
ON_POOL = DONE._replace(archive_free=10**12, root_state=("overlay2", "devicemapper", "image/devicemapper", "image/overlay2"))
TAKEN_BACK = [  # situation, Docker, goal, the record's state, images and names then
    ("a-load-had-failed-before", ON_POOL._replace(former=OWED), ROLL_BACK, "done", OWED.pending, OWED.names),
    ("nothing-was-owed", ON_POOL, ROLL_BACK, "done", (), ()),
    ("of-an-earlier-way-back", FRESH._replace(former=OWED._replace(state="back")), PROVISION, "back", OWED.pending, OWED.names),
    ("cut-off-on-its-way-back", ON_POOL._replace(former=OWED._replace(state="begun")), ROLL_BACK, "done", OWED.pending, ()),
    ("cut-off-on-its-way-there", FRESH._replace(former=OWED._replace(state="begun")), PROVISION, "back", OWED.pending, ()),
    ("the-first-switch", FRESH._replace(images=(BUSYBOX,)), PROVISION, "back", (), ()),
    ("owed-to-the-other-side", FRESH._replace(former=OWED), PROVISION, "back", (), ()),
]


def taken_back(docker, goal):
    """The Docker with the record that a switch leaves which is taken back."""
    steps = plan.plan(states.spec()._replace(docker=WANTED, goal=goal), host(docker)).steps
    (switch,) = [step for step in steps if isinstance(step, Transaction)]
    return docker._replace(former=switch_record.parse(switch.afterwards[-1].text))


@pytest.mark.parametrize(
    ("docker", "goal", "state", "pending", "names"), [row[1:] for row in TAKEN_BACK], ids=[row[0] for row in TAKEN_BACK]
)
def test_what_is_owed_where_docker_is_again_is_owed_still(docker, goal, state, pending, names):
    former = taken_back(docker, goal).former
    assert (former.state, former.pending, former.names) == (state, pending, names)


def test_what_a_rollback_that_was_taken_back_left_is_loaded_and_not_cleaned_away():
    docker = taken_back(ON_POOL._replace(former=OWED), ROLL_BACK)
    assert due(docker)[0] == "load " + BUSYBOX.id
    with pytest.raises(Refused, match="1 images are still to be loaded"):
        due(docker, goal=CLEAN_UP)


def test_a_way_to_overlay2_that_was_taken_back_keeps_the_record_of_the_former_storage():
    loop = SwitchRecord("done", "devicemapper", daemon_json='{"storage-driver": "devicemapper"}')
    docker = ON_POOL._replace(former=loop)
    steps = plan.plan(states.spec()._replace(docker=WANTED._replace(roll_back_to="overlay2"), goal=ROLL_BACK), host(docker)).steps
    (switch,) = [step for step in steps if isinstance(step, Transaction)]
    assert switch_record.parse(switch.afterwards[-1].text) == loop


@pytest.mark.parametrize("former", ["overlay2", "devicemapper"])
def test_a_rollback_that_fails_brings_the_pools_own_folders_back(former):
    """Without them Docker would find a pool in use and no metadata, and stay down."""
    names = (*ON_POOL.root_state, "devicemapper.before-direct-lvm", "image/devicemapper.before-direct-lvm")
    record = SwitchRecord("done", former, "old-pool" if former == "devicemapper" else "")
    docker = ON_POOL._replace(former=record, root_state=names if former == "devicemapper" else ON_POOL.root_state)
    planned = plan.plan(states.spec()._replace(docker=WANTED, goal=ROLL_BACK), host(docker)).steps
    switch = next(step for step in planned if isinstance(step, Transaction))
    root = "/var/lib/docker/"
    folders = {"devicemapper": "the pool's", "image/devicemapper": "the pool's"}
    if former == "devicemapper":
        folders.update({name + ".before-direct-lvm": "the former" for name in ("devicemapper", "image/devicemapper")})
    for steps in (switch.steps, switch.way_back):
        for step in steps:
            if hasattr(step, "source"):
                source, target = step.source[len(root) :], step.target[len(root) :]
                there = all(name[len(root) :] in folders for name in step.only_if)
                if source in folders and target not in folders and there:
                    folders[target] = folders.pop(source)
    assert (folders["devicemapper"], folders["image/devicemapper"]) == ("the pool's", "the pool's")
