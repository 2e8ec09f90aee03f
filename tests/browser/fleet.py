"""Fleets as playbooks/status.yml sees them: hosts with the answer of direct_lvm_info, and the report that the role makes of it."""

import json
import os
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
GIB = 1024**3
HOSTILE = "<script>document.title='ran'</script>"
SENTENCE = (
    "autoextend can never run: one step of vgdocker/thinpool needs 1824 extents (7.12g), VG vgdocker has 232 free (928.00m). "
    "dmeventd grows by percent of the pool's current size, all or nothing. "
    "Add a disk, or choose thin_pool_data_size: 78%VG or less when the pool is made."
)


def answer(
    data, metadata=10.0, free=7 * GIB, steps=1, monitored=True, warnings=(), danger=(), driver="devicemapper", engine="devicemapper"
):
    """A module's result for one host; percentages are the pool's use, free and the sizes bytes."""
    return {
        "host": {
            "warnings": list(warnings),
            "danger": dict(danger),
            "engine": engine,
            "docker": {"driver": driver},
            "vg": {"size": 30 * GIB, "free": free},
            "pool": {
                "size": 22 * GIB,
                "metadata_size": 304 * 1024**2,
                "data_percent": data,
                "metadata_percent": metadata,
                "monitored": monitored,
                "growth_steps_left": steps,
                "growth_need": 5 * GIB,
            },
        }
    }


NO_POOL = {
    "host": {
        "engine": None,
        "warnings": ["There is no thin pool vgdocker/thinpool. Run playbooks/site.yml."],
        "danger": {"pool": "warning"},
        "docker": None,
        "vg": None,
        "pool": None,
    }
}
FULL = answer(
    97.3,
    81.5,
    free=0,
    steps=0,
    monitored=False,
    warnings=["Data of pool vgdocker/thinpool is 97.3 % full.", "Metadata of pool vgdocker/thinpool is 81.5 % full.", SENTENCE]
    + ["Pool vgdocker/thinpool is not monitored: nobody extends it when it fills up."],
    danger={"data": "critical", "metadata": "critical", "reserve": "critical", "monitoring": "warning"},
)
UNREACHABLE = {
    "unreachable": True,
    "msg": "Failed to connect to the host via ssh: ssh: connect to host port 22: Connection timed out",
}
REFUSED = {"failed": True, "msg": "this runs as user id 1000, not as root.\nSet become: true, or connect as root."}
RUN_BY_STRANGERS = answer(
    41.0,
    warnings=[HOSTILE, "{{ 7 * 7 }} & <img src=x onerror=\"document.title='ran'\">"],
    danger={'"><script>': HOSTILE},
    driver=HOSTILE,
    engine=HOSTILE,
)

# What no host of ours says, and the engines.
ODD = {
    "odd": answer("full", "nan?", free=None, steps="x"),
    "stranger": RUN_BY_STRANGERS,
    "silent": {},
    "new": answer(1, driver="devmapper", engine="docker-devmapper"),
    "none": answer(1, driver="overlay2", engine=None),
    "old": answer(1),
}
SMALL = {"web1.example.com": answer(41.25), HOSTILE: FULL, "db.example.com": UNREACHABLE}


def large(count=1000):
    """{name: answer} of many hosts, of every kind; most of them are well."""
    hosts = {HOSTILE: RUN_BY_STRANGERS, "a-name-that-is-longer-than-most-" + "x" * 120 + ".example.com": FULL}
    while len(hosts) < count:
        n = len(hosts)
        name = "node%04d.rack%02d.example.com" % (n, n % 40)
        if n % 100 == 7:
            hosts[name] = UNREACHABLE
        elif n % 250 == 9:
            hosts[name] = REFUSED
        elif n % 50 == 3:
            hosts[name] = answer(90.0 + n % 10, danger={"data": "critical"}, warnings=["Data of pool vgdocker/thinpool is full."])
        elif n % 40 == 5:
            hosts[name] = answer(n % 80, monitored=False, danger={"monitoring": "warning"}, warnings=["Pool is not monitored."])
        elif n % 200 == 11:
            hosts[name] = NO_POOL
        else:
            hosts[name] = answer(n * 7 % 800 / 10.0, n % 700 / 10.0, n % 8 * GIB, n % 3)
    return hosts


def report(folder, hosts):
    """Have the role `status` report on {name: answer}: (the JSON report, what the terminal showed, seconds of the whole run)."""
    inventory = {"all": {"hosts": {name: {"status_answer": unsafe(given)} for name, given in hosts.items()}}}
    play = [
        {
            "name": "Report",
            "hosts": "all",
            "gather_facts": False,
            "tasks": [{"name": "Report", "ansible.builtin.import_role": {"name": "status"}, "run_once": True}],
        }
    ]
    (folder / "inventory.json").write_text(json.dumps(inventory))
    (folder / "play.json").write_text(json.dumps(play))
    begun = time.monotonic()
    done = subprocess.run(
        ["ansible-playbook", "-i", "inventory.json", "play.json"],
        cwd=str(folder),
        env=dict(os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), PWD=str(folder), ANSIBLE_NOCOLOR="1"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads((folder / "status" / "status.json").read_text()), done.stdout, time.monotonic() - begun


def unsafe(value):
    """A value that Ansible does not take for a template, as it treats what modules return."""
    if isinstance(value, dict):
        return {name: unsafe(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [unsafe(inner) for inner in value]
    return {"__ansible_unsafe": value} if isinstance(value, str) else value
