"""Record what the programs of a converged guest answer, for benchmarks/stub_host.py.

    .venv/bin/python3 benchmarks/record.py ours|peer

Converges a guest, puts a recorder before its programs, and runs the playbook again: every command that it started, and the files
that it read, go to benchmarks/recorded/. The second run must change nothing.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "lab"))
from guest import Guest

PLAYBOOKS = {"ours": "playbooks/site.yml", "peer": "benchmarks/peer/site.yml"}
PROGRAMS = ("blkid", "ctr", "dmeventd", "dmsetup", "docker", "lvm", "lvs", "modprobe", "pvs", "systemctl")
PROGRAMS += ("thin_check", "vgs", "wipefs")
FILES = (
    "/etc/docker/daemon.json",
    "/etc/default/docker",
    "/etc/lvm/profile/docker-thinpool.profile",
    "/etc/systemd/system/docker.service.d/daemon.conf",
    "/lib/systemd/system/docker.service",
    "/var/lib/direct-lvm/switch.json",
)
# All fields of each report, so that the answer serves when the module asks for others than today.
EVERYTHING = "lvm fullreport --all --reportformat json --units b --nosuffix" + "".join(
    " --configreport %s -o %s" % report
    for report in (("pv", "pv_all"), ("vg", "vg_all"), ("lv", "lv_all"), ("pvseg", "pvseg_all"), ("seg", "seg_all,lv_uuid"))
)
RECORDER = """#!/usr/bin/python3
import json, os, subprocess, sys
name = os.path.basename(sys.argv[0])
real = subprocess.run(["which", name], env={"PATH": "/usr/sbin:/usr/bin"}, stdout=subprocess.PIPE, text=True).stdout.strip()
done = subprocess.run([real, *sys.argv[1:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
with open("/opt/recorded", "a") as stream:
    stream.write(json.dumps({"argv": [name, *sys.argv[1:]], "rc": done.returncode, "out": done.stdout, "err": done.stderr}) + "\\n")
sys.stdout.write(done.stdout)
sys.stderr.write(done.stderr)
sys.exit(done.returncode)
"""


def run_playbook(guest, name, environment=None, **variables):
    """Run PLAYBOOKS[name] on the guest and return Ansible's counts for it. environment: further variables for Ansible."""
    inventory = guest.folder / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": {guest.name: guest.variables()}}}))
    argv = ["ansible-playbook", "-i", str(inventory), PLAYBOOKS[name]]
    argv += ["-e", json.dumps(dict(variables, thin_pool_devices=["/dev/vdb"]))]
    json_out = {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    with tempfile.TemporaryDirectory(prefix="direct-lvm-") as sockets:  # a guest that was restored knows no kept connection
        here = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".venv" / "peer"), "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets}
        given = dict(os.environ, **json_out, **here, **(environment or {}))
        done = subprocess.run(argv, cwd=str(ROOT), env=given, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit("%s failed: %s" % (" ".join(argv), done.stdout))
    return json.JSONDecoder().raw_decode(done.stdout, done.stdout.index("{"))[0]["stats"][guest.name]  # a table may follow


def files_of(guest):
    """{path: text} of the files that the programs and modules read, and Docker's command line as its process has it."""
    found = {}
    for path in FILES:
        done = guest.ssh("cat " + path, check=False)
        if done.returncode == 0:
            found[path] = done.stdout
    for name in ("cmdline", "environ"):
        found["/proc/1/" + name] = guest.ssh("cat /proc/$(pidof dockerd)/" + name).stdout
    return found


def record(guest, name):
    """Run the playbook until it changes nothing, then with the recorder; write what was answered."""
    run_playbook(guest, name)
    guest.ssh("mkdir -p /opt/record && cat > /opt/record/lvm && chmod +x /opt/record/lvm", stdin=RECORDER)
    guest.ssh("cd /opt/record; for p in %s; do ln -sf lvm $p; done" % " ".join(name for name in PROGRAMS if name != "lvm"))
    guest.ssh("echo SetEnv PATH=/opt/record:/usr/sbin:/usr/bin >> /etc/ssh/sshd_config && systemctl reload ssh")
    guest.forget_connection()
    guest.wait()  # sshd reads its configuration again
    guest.ssh("rm -f /opt/recorded")
    stats = run_playbook(guest, name)  # over a new connection, which sees the recorder
    if stats["changed"]:
        sys.exit("the second run changed something: %s" % stats)
    recorded = [json.loads(line) for line in guest.ssh("cat /opt/recorded").stdout.splitlines()]
    answers = {tuple(answer["argv"]): answer for answer in recorded}
    pid = guest.ssh("pidof dockerd").stdout.strip()
    for answer in answers.values():
        if "fullreport" in answer["argv"]:
            answer["out"] = guest.ssh("LC_ALL=C " + EVERYTHING.replace("lvm", "/usr/sbin/lvm", 1)).stdout
        # The stub host shows Docker as process 1, and no other of the guest's processes.
        answer["out"] = answer["out"].replace("MainPID=%s\n" % pid, "MainPID=1\n")
        answer["out"] = re.sub("MainPID=(?!1\n).*\n", "MainPID=0\n", answer["out"])
    path = ROOT / "benchmarks" / "recorded" / (name + ".json")
    path.write_text(json.dumps({"answers": list(answers.values()), "files": files_of(guest)}, indent=1) + "\n")
    print("%s: %d answers" % (path, len(answers)))


def main():
    """Record on a fresh guest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("playbook", choices=sorted(PLAYBOOKS))
    name = parser.parse_args().playbook
    guest = Guest("record-" + name).up(disks=("30G",), cpus=1, owner=os.getpid())
    try:
        record(guest, name)
    finally:
        guest.down()


if __name__ == "__main__":
    main()
