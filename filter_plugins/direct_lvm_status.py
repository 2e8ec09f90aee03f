# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The status report: what direct_lvm_info returned of every host, as one row per host, the hosts in danger first.

A host may answer anything. Each answer is checked by itself, and one that the module never gives makes only its own host `failed`.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: direct_lvm_status
short_description: Sort what the hosts of a fleet answered into one report
version_added: "0.1.0"
description:
  - Returns C(counts), the number of hosts per state, and C(hosts), one row per host, the hosts in danger first.
  - A host whose answer M(lvmops.direct_lvm.direct_lvm_info) never gives is C(failed). Texts have printable characters only.
author:
  - The direct-lvm contributors (@lvmops)
options:
  _input:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of each host; C(status_answer) is what M(lvmops.direct_lvm.direct_lvm_info) returned.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Report
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts_all | lvmops.direct_lvm.direct_lvm_status(hostvars) }}"
"""

RETURN = r"""
_value:
  description:
    - C(counts), a number for each of V(critical), V(unreachable), V(failed), V(warning) and V(ok), and C(hosts), the rows.
    - A row has C(host), C(state), C(warnings), C(danger) (severity per subject), C(engine), C(driver), C(monitored) and figures
      (sizes in bytes); each is null while it is not known.
  type: dict
"""

from collections.abc import Mapping

STATES = ("critical", "unreachable", "failed", "warning", "ok")  # in the report's order
PERCENTAGES = ("data_percent", "metadata_percent")
SILENT = "The host gave no answer: see the messages of this run."
ODD = "The host gave an answer that direct_lvm_info never gives, in: %s. Look at what it runs."


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self):
        """The filters by name."""
        return {"direct_lvm_status": report}


def report(names, hostvars):
    """{counts: {state: number}, hosts: [row]} of the hosts with these names, sorted by state, then by how full the pool is."""
    rows = [row(str(name), hostvars[name].get("status_answer")) for name in names]
    rows.sort(key=lambda one: (STATES.index(one["state"]), -max(one[figure] or 0 for figure in PERCENTAGES), one["host"]))
    return {"counts": {state: sum(one["state"] == state for one in rows) for state in STATES}, "hosts": rows}


def row(name, answer):
    """The row of one host. answer: what its module returned, of any type."""
    odd = []
    answer = mapping(answer)
    host = typed(answer.get("host"), Mapping, "host", odd) or {}
    docker, pool, vg, danger = (typed(host.get(part), Mapping, part, odd) or {} for part in ("docker", "pool", "vg", "danger"))
    known = {
        "engine": text(host.get("engine"), "engine", odd),
        "driver": text(docker.get("driver"), "driver", odd),
        "data_percent": figure(pool, "data_percent", "data_percent", odd),
        "data_size": figure(pool, "size", "data_size", odd),
        "metadata_percent": figure(pool, "metadata_percent", "metadata_percent", odd),
        "metadata_size": figure(pool, "metadata_size", "metadata_size", odd),
        "growth_steps_left": figure(pool, "growth_steps_left", "growth_steps_left", odd),
        "growth_need": figure(pool, "growth_need", "growth_need", odd),
        "vg_size": figure(vg, "size", "vg_size", odd),
        "vg_free": figure(vg, "free", "vg_free", odd),
        "monitored": typed(pool.get("monitored"), bool, "monitored", odd),
    }
    if not all(isinstance(severity, str) for severity in danger.values()):
        odd.append("danger")
    danger = {printable(subject): printable(severity) for subject, severity in list(danger.items())[:100]}
    warnings = (typed(host.get("warnings"), list, "warnings", odd) or [])[:100]
    if not all(isinstance(sentence, str) for sentence in warnings):
        odd.append("warnings")
    if answer.get("unreachable") is True:
        state = "unreachable"
    elif odd or not host or answer.get("failed") is True:
        state = "failed"
    else:
        state = "critical" if "critical" in danger.values() else "warning" if danger else "ok"
    if state in ("unreachable", "failed"):
        message = answer.get("msg")
        said = printable(message) if isinstance(message, str) and message else SILENT
        warnings, danger, known = [ODD % ", ".join(dict.fromkeys(odd)) if odd else said], {}, dict.fromkeys(known)
    return {"host": printable(name), "state": state, "warnings": list(map(printable, warnings)), "danger": danger, **known}


def mapping(value):
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def typed(value, kind, name, odd):
    """The value if it is of that type, else None; its name is added to odd unless it is None."""
    if value is None or isinstance(value, kind):
        return value
    odd.append(name)
    return None


def text(value, name, odd):
    """The value as a printable text, see typed()."""
    value = typed(value, str, name, odd)
    return None if value is None else printable(value)


def figure(source, key, name, odd):
    """A percentage (a float of 0 to 100) or a size or count (an int of 0 to 2**63), see typed(). NaN is neither."""
    value = source.get(key)
    most = 100 if key in PERCENTAGES else 2**63
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
        odd.append(name)
        return None
    return float(value) if key in PERCENTAGES else int(value)


def printable(value):
    """The first 2,000 characters of a text, with a question mark for each that a terminal would not show as it is."""
    return "\n".join("".join(char if char.isprintable() else "?" for char in line) for line in str(value)[:2000].splitlines())
