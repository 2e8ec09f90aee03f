# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The road of a whole run: observe, plan, carry out, and plan again what changed meanwhile."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..facts.observe import ask_settings, observe
from ..model.errors import Changed, Refused
from ..model.steps import REPAIR, LoadImage, Transaction, UntilMoved
from ..plan import plan
from . import apply, report

ROUNDS = 5  # looks at a host on which Docker's content changes while it is being switched


def converge(spec, result, check_mode=False, with_diff=False):
    """Observe, plan, carry out, observe and plan again; in check mode only plan. Returns the warnings.

    with_diff: whether the answer gets the texts of the files that change.
    result: the module's answer, filled as it goes, so that a failure tells how far it came.
    Raises Refused, CommandFailed, apply.SwitchFailed and OSError.
    """
    host = observe(spec)
    result["host"] = report.summary(spec.pool, host)
    result["waiting_for"] = [disk.asked for disk in host.disks if disk.path is None]
    due = plan.plan(spec, host)
    if due.steps and host.settings is None:
        host = host._replace(settings=ask_settings(spec.pool, host.lvm))
        due = plan.plan(spec, host)
    steps = due.steps
    result["restarts"] = [step.service for step in steps if isinstance(step, Transaction)]
    result["engine"] = dict(due.engine._asdict()) if due.engine else None
    result["roles"], result["between"] = list(due.roles), due.between
    if with_diff:
        result["diff"] = report.diff(steps)
    if check_mode:
        apply.recheck_devices(steps)
    if check_mode or not steps:
        result.update(changed=bool(steps), steps=report.describe(steps), loads=loads(spec, host))
        return due.warnings
    done = apply.Done()
    try:
        carry_out(spec, steps, done)
    finally:
        result.update(changed=bool(done), steps=report.describe(done), downtime=round(done.downtime, 1))
        result["repaired"] = any(step.kind == REPAIR for step in done)
    after = observe(spec)._replace(settings=host.settings)
    result["host"] = report.summary(spec.pool, after)
    result["loads"] = loads(spec, after)
    due = plan.plan(spec, after)
    needed = report.describe(due.steps)
    result["to_come"] = needed
    if needed and not any(isinstance(step, UntilMoved) for step in steps):
        raise Refused(
            "all steps were carried out, yet these are still needed: "
            + "; ".join(" ".join(step["argv"]) if step["kind"] == "command" else step["why"] for step in needed)
        )
    return due.warnings + tuple(done.sentences)


def carry_out(spec, steps, done):
    """Carry steps out, and plan anew where they ask for it, or where Docker got something that was not planned for.

    Docker serves while that is told. Raises Refused when it happens in each round, or when what is new is refused.
    """
    news = None
    for _round in range(ROUNDS):  # what is not done after that is told by the caller
        try:
            if apply.execute(steps, done):
                return
            news = None
        except Changed as change:
            news = change
        try:
            steps = plan.plan(spec, observe(spec)).steps
        except Refused as refusal:
            if news is None:
                raise
            raise Refused("%s\nDocker serves as before. %s" % (news.what, refusal.what), refusal.way_out) from refusal
    if news is not None:
        raise Refused(
            "Docker's content changed in each of %d rounds; Docker serves as before. %s" % (ROUNDS, news.what), news.way_out
        )


def loads(spec, host):
    """The images that are still to be loaded where Docker is, as steps; in check mode those that the run would leave to be loaded.

    [] when this call loads them itself.
    """
    if not spec.docker or spec.docker.load_images:
        return []
    steps = plan.plan(spec._replace(docker=spec.docker._replace(load_images=True)), host).steps
    return report.describe(step for step in steps if isinstance(step, LoadImage))
