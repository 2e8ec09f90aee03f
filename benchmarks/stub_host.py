"""A host whose LVM, systemd and Docker are recorded answers (recorded/*.json), on this machine, below a temporary folder.

Everything runs in a mount namespace of its own: the recorded files lie over /etc, /run, /lib and /var/lib there, read-only, and
programs that print the recorded answers come first in PATH. Nothing of this machine is changed. Needs root and, for
connections, sshd, which listens on 127.0.0.1 only.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import time

from measure import cpu

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(sys.executable).parent
DISK = "/dev/shm/vdb"  # where the recorded host has /dev/vdb: nothing can be laid over /dev itself
OVERLAID = ("etc", "run", "usr/lib", "var/lib")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The tools that only have to be there.
PRESENT = ("blkid", "dmeventd", "dmsetup", "docker", "lvm", "modprobe", "systemctl", "thin_check", "wipefs")
ENTER = """set -e
tree=$1; shift
for folder in {folders}; do
  mkdir -p "$tree/root/$folder"
  mount -t overlay -o "lowerdir=$tree/root/$folder:/$folder" none "/$folder"
done
mount --bind "$tree/dev" /dev/shm
for name in cmdline environ; do mount --bind "$tree/process/$name" "/proc/1/$name"; done
exec "$@"
"""
SSHD_ID = 64999  # in no range that Debian gives away
SSHD_CONFIG = """ListenAddress 127.0.0.1
Port {port}
HostKey {tree}/host_key
AuthorizedKeysFile {tree}/key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxStartups 1000
SetEnv PATH={tree}/programs:{path}
"""


class StubHost:
    """One converged host. tree: an empty folder that it may fill.  recorded: 'ours' or 'peer', who had converged it."""

    def __init__(self, tree, recorded):
        self.tree = pathlib.Path(tree)
        self.path = "%s/programs:%s" % (self.tree, SYSTEM_PATH)
        told = json.loads((HERE / "recorded" / (recorded + ".json")).read_text().replace("/dev/vdb", DISK))
        for folder in ("programs", "process", "dev", "root/run/systemd/system", "root/run/sshd"):
            (self.tree / folder).mkdir(parents=True)
        number = next(pathlib.Path("/sys/dev/block").iterdir()).name  # any device that the kernel has: it is not opened
        os.mknod(str(self.tree / "dev" / "vdb"), stat.S_IFBLK | 0o600, os.makedev(*map(int, number.split(":"))))
        for path, text in told["files"].items():
            under = self.tree / ("root" + re.sub("^/lib/", "/usr/lib/", path))
            if path.startswith("/proc/1/"):
                under = self.tree / "process" / path[8:]
            under.parent.mkdir(parents=True, exist_ok=True)
            under.write_text(text)
        self.write_programs(told["answers"])
        self.sshd = None

    def write_programs(self, answers):
        """One shell script per program: it prints what was recorded for its arguments, and fails for any other."""
        for name in {answer["argv"][0] for answer in answers}.union(PRESENT):
            cases = [case(answer) for answer in answers if answer["argv"][0] == name]
            text = '#!/bin/sh\ncase "$*" in\n%s*) echo "not recorded: $0 $*" >&2; exit 99;;\nesac\n' % "".join(cases)
            program = self.tree / "programs" / name
            program.write_text(text)
            program.chmod(0o755)

    def write_user(self):
        """The user that sshd needs, which its package would make."""
        users = pathlib.Path("/etc/passwd").read_text()
        if not re.search("^sshd:", users, re.M):
            users += "sshd:x:%d:65534::/run/sshd:/usr/sbin/nologin\n" % SSHD_ID
            (self.tree / "root" / "etc" / "passwd").write_text(users)

    def inside(self, *argv):
        """The argv that runs a command on this host."""
        script = ENTER.format(folders=" ".join(OVERLAID))
        enter = ["unshare", "--mount", "--", "sh", "-c", script, "sh", str(self.tree)]
        return [*enter, "env", "PATH=" + self.path, *map(str, argv)]

    def listen(self):
        """Start sshd on a free port of 127.0.0.1; the inventory variables that lead to it. RuntimeError when there is none."""
        program = shutil.which("sshd", path="%s:%s" % (SYSTEM_PATH, BIN))
        if program is None:
            raise RuntimeError("sshd is not installed. Run: make .venv/bin/sshd")
        for name in ("key", "host_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.tree / name)], check=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.write_user()
        config = self.tree / "sshd_config"
        config.write_text(SSHD_CONFIG.format(port=port, tree=self.tree, path=SYSTEM_PATH) + beside(program))
        with (self.tree / "sshd.log").open("w") as log:
            argv = self.inside(program, "-D", "-e", "-f", config)
            self.sshd = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log)
        wait_for_banner(port, self.sshd, self.tree / "sshd.log")
        options = "-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.tree / "key"),
            "ansible_ssh_common_args": options,
            # Many names, one address: each has a connection of its own all the same.
            "ansible_control_path": "%s/c-{{ inventory_hostname }}" % self.tree,
            "ansible_python_interpreter": "/usr/bin/python3",
            "thin_pool_devices": [DISK],
        }

    def stop(self):
        """End sshd; user and system CPU seconds of it and of all that it had started. Connections must be closed."""
        children = pathlib.Path("/proc/%d/task/%d/children" % (self.sshd.pid, self.sshd.pid))
        while children.read_text():
            time.sleep(0.01)
        self.sshd.terminate()
        _pid, _status, used = os.wait4(self.sshd.pid, 0)
        self.sshd.returncode = 0
        return cpu(used)

    def kill(self):
        """End sshd if it still runs, whatever it has open."""
        if self.sshd and self.sshd.returncode is None:
            self.sshd.kill()
            self.sshd.wait()


def case(answer):
    """One branch of a program's case statement."""
    words = answer["argv"][1:]
    said = "printf %%s %s\nprintf %%s %s >&2\n" % (shlex.quote(answer["out"]), shlex.quote(answer["err"]))
    # The report was recorded with all fields, whichever are asked for.
    pattern = "fullreport*" if words[:1] == ["fullreport"] else shlex.quote(" ".join(words))
    return "%s)\n%sexit %d;;\n" % (pattern, said, answer["rc"])


def beside(program):
    """Lines of sshd_config that name the programs of OpenSSH 9.8 and newer where sshd is not installed but has them beside it."""
    options = (("SshdSessionPath", "sshd-session"), ("SshdAuthPath", "sshd-auth"))
    own = [(option, pathlib.Path(program).with_name(name)) for option, name in options]
    return "".join("%s %s\n" % (option, path) for option, path in own if path.exists())


def wait_for_banner(port, process, log):
    """Return once sshd answers. Raises RuntimeError when it ended instead."""
    while process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("sshd did not start: %s" % log.read_text().strip())
