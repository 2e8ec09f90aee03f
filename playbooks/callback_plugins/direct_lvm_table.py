# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The table at the end of a run. Ansible loads it by itself, for it lies beside the playbooks.

A callback and not a last play: a run that max_fail_percentage stops has no last play, and needs the table most.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: direct_lvm_table
type: aggregate
short_description: One table at the end, what each host had and has now
description:
  - One line per host that was changed, refused, failed or not reached, as the module direct_lvm returned it, with the seconds for
    which Docker did not answer.
author:
  - The direct-lvm contributors (@lvmops)
"""

from ansible.plugins.callback import CallbackBase

LONGEST = 400  # characters of a cell; what a host returns has no bound of its own

MODULES = ("direct_lvm", "lvmops.direct_lvm.direct_lvm")
HEADINGS = ("host", "was", "is now", "Docker down", "")
# What a host had and has, seconds of downtime, whether work had begun and changed it, how many steps were due, what went wrong.
NOTHING = {"was": "", "now": "", "down": 0.0, "begun": False, "changed": False, "due": 0, "problem": ""}


class CallbackModule(CallbackBase):
    """Collects what the module returns; see DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "direct_lvm_table"

    def __init__(self):
        super().__init__()
        self.rows = {}
        self.asked = False
        self.hosts = set()

    def v2_playbook_on_play_start(self, play):
        """All hosts of the play: those of a batch that is never begun would be in no line."""
        inventory = getattr(play.get_variable_manager(), "_inventory", None)
        if inventory and not self.asked:
            self.hosts |= {host.get_name() for host in inventory.get_hosts(play.hosts, ignore_restrictions=True)}

    def v2_playbook_on_task_start(self, task, is_conditional):
        """Only a run that has the module at work is told of: playbooks/status.yml has a table of its own."""
        self.asked = self.asked or task.action in MODULES

    def row(self, result):
        """The row of a result's host, as NOTHING."""
        return self.rows.setdefault(result._host.get_name(), dict(NOTHING))

    def note(self, result):
        """Take in what the module returned, of a success or of a failure."""
        returned, row = result._result, self.row(result)
        host = mapping(returned.get("host"))
        if host.get("docker") or host.get("engine") or not row["now"]:  # a call for the pool alone does not look at Docker
            row["now"] = storage(host) if host else row["now"]
            before = mapping(returned.get("before"))
            row["was"] = row["was"] or (storage(before) if before else row["now"])
        row["down"] += seconds(returned.get("downtime"))
        if not result._task.check_mode and returned.get("changed") is True:
            row["changed"] = True
        else:  # planned, or in the desired state
            steps = returned.get("steps")
            row["due"] = max(row["due"], len(steps) if isinstance(steps, list) else 0)
        row["begun"] = row["begun"] or row["changed"] or returned.get("begun") is True

    def v2_runner_on_ok(self, result):
        """A task that went well."""
        if result._task.action in MODULES:
            self.note(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        """A task that failed: before anything was changed it is a refusal."""
        if result._task.action in MODULES:
            self.note(result)
        if not ignore_errors and result._host.get_name() in self.rows:  # not the controller, which only counts the others
            row, answer = self.row(result), result._result
            items = answer.get("results")
            items = items if isinstance(items, list) else []
            answer = next((item for item in items if mapping(item).get("failed")), answer)  # of a loop, the item
            ours = result._task.action in MODULES
            kind = "refused" if ours and not row["begun"] else "FAILED" if ours else "FAILED in `%s`" % result._task.get_name()
            # The first is the reason; a later one is how the play ends for it.
            row["problem"] = row["problem"] or "%s: %s" % (kind, first_line(answer.get("msg", "")))

    def v2_runner_on_unreachable(self, result):
        """A host that was not reached."""
        row = self.row(result)
        row["problem"] = row["problem"] or "not reached: %s" % first_line(result._result.get("msg", ""))

    def v2_playbook_on_stats(self, stats):
        """The end of the run."""
        rows = {name: row for name, row in self.rows.items() if row["was"] or row["problem"]}
        if not (self.asked and rows):
            return
        rows.update({name: dict(NOTHING, problem="not begun") for name in self.hosts - set(self.rows)})
        for row in rows.values():
            if row["due"] and not row["changed"] and not row["problem"]:
                row["problem"] = "to be changed, %d step%s" % (row["due"], "s"[: row["due"] != 1])
        lines = [
            tuple(map(printable, (name, row["was"], row["now"], "%.1f s" % row["down"] if row["down"] else "", row["problem"])))
            for name, row in sorted(rows.items())
            if row["changed"] or row["problem"]
        ]
        same = len(rows) - len(lines)
        if lines:
            lines.insert(0, HEADINGS)
            widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
            self._display.banner("STORAGE")
            for line in lines:
                self._display.display("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
        self._display.display("%d host%s already configured, unchanged" % (same, "s"[: same != 1]))


def storage(host):
    """A host's storage in a few words, from what the module returns of it."""
    docker, pool = mapping(host.get("docker")), mapping(host.get("pool"))
    if host.get("engine"):
        return printable("%s on %s" % (host["engine"], str(pool.get("device", "")).rpartition("/")[2]))
    if "Data loop file" in mapping(docker.get("status")):
        return "loop-lvm"
    if docker.get("driver"):
        return printable(docker["driver"])
    if docker.get("active") is True:  # it runs; without docker-cli nobody asks it for its driver, or its version
        return "Docker does not tell"
    return "Docker down" if docker.get("version") else "no Docker"


def mapping(value):
    """The value if it is an object, else an empty one: a host may return anything."""
    return value if isinstance(value, dict) else {}


def seconds(value):
    """The value if it is a number of seconds that a run can take, else 0."""
    return float(value) if type(value) in (int, float) and 0 <= value < 10**7 else 0.0


def first_line(value):
    """The first line of what a host returned as text."""
    return str(value).partition("\n")[0]


def printable(value):
    """The value as text that a terminal shows as it is: no control character, nothing that turns the direction of writing."""
    return "".join(char if char.isprintable() else "?" for char in str(value)[:LONGEST])
