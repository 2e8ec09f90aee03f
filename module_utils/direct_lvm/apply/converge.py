# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The road of a whole run: observe, plan, carry out, and plan again what changed meanwhile."""

from ..facts.lvm import is_moving
from ..facts.observe import ask_settings, observe
from ..host import commands, lock
from ..model.errors import Changed, CommandFailed, Refused
from ..model.steps import REPAIR, LoadImage, Transaction, UntilMoved
from ..plan import plan
from . import apply, report

ROUNDS = 5  # looks at a host on which Docker's content changes while it is being switched


def converge_alone(spec, result, check_mode, with_diff, plan_only_for, lock_timeout):
    """converge(), with the host's lock where it changes something. lock_timeout: seconds to wait for it.

    A host in the desired state is not even locked: what is due is looked for without the lock, and looked at again with it, for
    another run may have been at work since. What that look fails for may be what another run has half done.
    """
    looks, at_work = only_looks(check_mode, plan_only_for), lock.another_runs()
    try:
        warnings = converge(spec, result, check_mode, with_diff, plan_only_for if looks else ["any"])
        due = bool(result["steps"])
    except (Refused, CommandFailed, OSError):
        if looks or not (at_work or lock.another_runs()):
            raise
        due = True
    if due and not looks:
        result["steps"] = []
        with lock.only_one_run(lock_timeout):
            warnings = converge(spec, result, False, with_diff, plan_only_for)
    return warnings


def only_looks(check_mode, plan_only_for):
    """Whether a call changes nothing, whatever it finds."""
    return check_mode or "any" in plan_only_for


def meanwhile(check_mode, plan_only_for):
    """What a failure adds when it is of a look, which takes no lock, while another run works on the host."""
    if not only_looks(check_mode, plan_only_for) or not lock.another_runs():
        return ""
    return "\nAnother run is at work on this host, and this may be what it has half done. Look again when it has ended."


def converge(spec, result, check_mode=False, with_diff=False, plan_only_for=()):
    """Observe, plan, carry out, observe and plan again; in check mode only plan. Returns the warnings.

    with_diff: whether the answer gets the texts of the files that change.  plan_only_for: the option of that name.
    result: the module's answer, filled as it goes, so that a failure tells how far it came.
    Raises Refused, CommandFailed, apply.SwitchFailed and OSError.
    """
    host = observe(spec)
    result["host"] = summary(spec, host)
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
    leaves = plans_only(due, plan_only_for)
    if check_mode or leaves:
        apply.recheck_devices(steps)
    if check_mode or leaves or not steps:
        result.update(changed=bool(steps and not leaves), steps=report.describe(steps), loads=loads(spec, host))
        result["roles"] = result["roles"] if leaves else []
        return due.warnings
    result.update(begun=True, roles=[], before={name: result["host"][name] for name in ("engine", "pool", "docker")})
    done = apply.Done()
    try:
        carry_out(spec, steps, done)
    finally:
        result.update(changed=bool(done), steps=report.describe(done), downtime=round(done.downtime, 1))
        result["repaired"] = any(step.kind == REPAIR for step in done)
    after = observe(spec)._replace(settings=host.settings)
    result["host"] = summary(spec, after, lsblk())
    result["loads"] = loads(spec, after)
    due = plan.plan(spec, after)
    needed = report.describe(due.steps)
    result["to_come"] = needed
    if needed and not any(isinstance(step, UntilMoved) for step in steps):
        raise Refused(
            "all steps were carried out, yet these are still needed: "
            + "; ".join(" ".join(step["argv"]) if step["kind"] == "command" else step["why"] for step in needed)
            + "".join("\n" + sentence for sentence in done.sentences)
        )
    return due.warnings + tuple(done.sentences)


def plans_only(due, plan_only_for):
    """Whether a Plan is left to a later call. plan_only_for: the module's option."""
    holds = {"any": bool(due.steps)}
    holds["long_steps"] = due.between or any(isinstance(step, LoadImage) for step in due.steps)
    holds["docker_restart"] = any(isinstance(step, Transaction) and step.service == "docker" for step in due.steps)
    return any(holds[name] for name in plan_only_for)


def summary(spec, host, block_devices=None):
    """The host for the answer. Whether a pvmove is seen to is asked only when there is one: it costs a look at all processes."""
    watched = bool(host.lvm.moves_of(spec.pool.vg)) and is_moving()
    return report.summary(spec.pool, host, watched, block_devices)


def lsblk():
    """{name: type} of the block devices and device-mapper devices, as lsblk shows them."""
    lines = commands.run(["lsblk", "--raw", "--noheadings", "--output", "NAME,TYPE"]).out.splitlines()
    return dict(line.partition(" ")[::2] for line in lines)


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
