"""Try what the targets of the Makefile need, as on a fresh machine; print it with the result and the time: make test-setup

    sudo python3 tests/setup.py [bench test-browser ...]

A target's prerequisites are made as root on a bare Debian, in a copy of the last commit. The Debian is a chroot with nothing in it
but make. What all targets need is made there first, the rest for each in an overlay of its own; targets with the same prerequisites
share one. The chroot has this machine's network, certificates and configuration of pip. Images of guests are kept for the next.
No service starts.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PIP = ("/etc/pip.conf", "/etc/xdg/pip", os.path.expanduser("~/.config/pip"), os.path.expanduser("~/.pip"))
CERTIFICATES = "/usr/local/share/ca-certificates"
COMMON = (".venv/done",)  # and through it setup-packages
# All mounts, and all processes, are gone with the first of its processes.
ENTER = """set -e
mkdir -p upper work merged
mount -t overlay -o "lowerdir=$1,upperdir=upper,workdir=work" none merged
shift
mount -t proc none merged/proc
mount --rbind /sys merged/sys
mount --rbind /dev merged/dev
mkdir -p merged/root/.cache
mount --bind cache merged/root/.cache
exec chroot merged make --no-print-directory -C /checkout "$@"
"""


def prerequisites():
    """{target: (what it needs, ...)} of the targets that `make help` lists."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = dict(re.findall(r"^([\w./-]+):(?!=) *(.*)$", text, re.MULTILINE))
    listed = re.findall(r"^#   make ([\w-]+) ", text, re.MULTILINE)
    return {target: tuple(rules[target].split()) for target in listed if target != "test" and rules[target]}


def make_debian(folder):
    """A bare Debian 12 with this checkout in folder/root."""
    root = folder / "root"
    argv = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--include=make", "--dpkgopt=force-unsafe-io"]
    argv += ["bookworm", str(root)]
    subprocess.run(argv, stdin=subprocess.DEVNULL, env=dict(os.environ, LC_ALL="C"), check=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root / "checkout")], check=True)
    shutil.copy("/etc/resolv.conf", str(root / "etc"))
    for path in filter(os.path.exists, (*PIP, CERTIFICATES)):
        subprocess.run(["cp", "-r", "--parents", path, str(root)], check=True)
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    (folder / "cache").mkdir()


def environment():
    """What the chroot has of this environment: pip's variables and the proxies."""
    kept = {name: value for name, value in os.environ.items() if re.match(r"PIP_|\w+_proxy$", name, re.IGNORECASE)}
    return dict(kept, HOME="/root", LC_ALL="C", PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


def attempt(folder, targets, goals):
    """Make the goals of some targets in folder/upper, and tell; whether they were made."""
    started = time.monotonic()
    below = "common:root" if (folder / "common").exists() else "root"
    argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "sh", below, *goals]
    out = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(argv, cwd=str(folder), env=environment(), check=False, **out)
    shutil.rmtree(str(folder / "work"))
    made = done.returncode == 0
    if not made:
        print(done.stdout)
    row = ("made" if made else "FAILED", time.monotonic() - started, targets, " ".join(goals))
    print("%-6s %4d s  %s: %s" % row, flush=True)
    return made


def main():
    """Try them all; the exit code says whether all were made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    needed = prerequisites()
    parser.add_argument("target", nargs="*", help="all, unless some are named: %s" % ", ".join(needed))
    targets = parser.parse_args().target or list(needed)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder is removed, and what runs in it ends
    with tempfile.TemporaryDirectory(prefix="setup-", dir="/var/tmp") as place:
        folder = pathlib.Path(place)
        make_debian(folder)
        passed = attempt(folder, "all", COMMON)
        (folder / "upper").rename(folder / "common")
        for goals in dict.fromkeys(needed[target] for target in targets) if passed else ():
            if set(goals) - {*COMMON, "setup-packages"}:
                passed &= attempt(folder, " ".join(target for target in targets if needed[target] == goals), goals)
                shutil.rmtree(str(folder / "upper"))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
