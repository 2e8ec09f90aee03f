"""The short form of LVM's planned commands, and their conditions in the recorded states."""

import pytest

from module_utils.direct_lvm.apply import report
from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.plan import plan

ON_DATA, ON_META, ON_POOL = ("lvchange --activate y vgdocker/" + name for name in ("thinpool", "thinpoolmeta", "thinpool"))
MONITOR = "lvchange --monitor y vgdocker/thinpool"


def shown(steps):
    """Steps as short lines."""
    lines = []
    for step in report.describe(steps):
        check = "blank? " + step["check"] if "check" in step else None
        lines.append(" ".join(step.get("argv", ())) or check or "write " + step["file"])
    return lines


def expect(spec, host, due):
    """The plan is due's commands, or a refusal that says due."""
    if isinstance(due, str):
        with pytest.raises(Refused) as refusal:
            plan.plan(spec, host)
        assert due in str(refusal.value)
    else:
        assert shown(plan.plan(spec, host).steps) == due
