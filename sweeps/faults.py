"""Faults for one run of the module in a guest: shims first in PATH, strace for what happens inside a command.

The product has no hook. Each external command of the module is numbered; at the chosen number the shim kills the module,
the command or the machine, or has the command fail, lie, stop half-way or hang.
"""

import re

CHANGING = [
    "lvchange",
    "lvconvert",
    "lvcreate",
    "lvextend",
    "lvremove",
    "pvcreate",
    "pvremove",
    "pvresize",
    "vgchange",
    "vgcreate",
    "vgextend",
]
SHIMMED = [*CHANGING, "blkid", "dd", "dmsetup", "lvm", "lvmconfig", "lvrename", "modprobe", "wipefs"]
CALLS = "io_submit,ioctl"
MARKER = "crash-sweep-cut"
PROFILE = "/etc/lvm/profile/docker-thinpool.profile"
NEW = PROFILE + ".direct-lvm-new"

SHIM = r"""#!/bin/sh
# Stands in for a command of the module. /run/crash/fault holds NUMBER KIND DETAIL...; every other call goes through.
name=${0##*/} here=/run/crash
PATH=${PATH#*:}
number=$(($(cat $here/count 2>/dev/null || echo 0) + 1))
echo $number > $here/count
echo "$number $name $*" >> $here/log
read -r at kind detail more < $here/fault
[ "$kind" = record ] && case " CHANGING " in *" $name "*)
    exec strace -qq -s 4 -e abbrev=none -o $here/trace.$number -e trace=CALLS "$name" "$@";; esac
[ "$number" = "$at" ] || exec "$name" "$@"
cut() { echo "MARKER $detail $(awk '{print $5 + $12}' /sys/block/vdc/stat)" > /dev/ttyS0; sleep 100000; }
half() { "$name" "$@" > $here/answer; head -c $(($(stat -c %s $here/answer) / 2)) $here/answer; }
during() {
    call=$1 when=$2
    shift 2
    strace -qq -o $here/during -e trace=$call -e inject=$call:signal=KILL:when=$when "$name" "$@" > /dev/null 2>&1
}
case $kind in
kill-before) kill -9 $PPID ;;
kill-after) "$name" "$@"; kill -9 $PPID ;;
kill-orphan) kill -9 $PPID; exec "$name" "$@" ;;
kill-during) during $detail $more "$@"; kill -9 $PPID ;;
rc) echo "crash sweep: no luck today" >&2; exit 5 ;;
rc-after) "$name" "$@" > /dev/null 2>&1; echo "crash sweep: too late" >&2; exit 5 ;;
died) during $detail $more "$@"; exit 137 ;;
garbage) "$name" "$@" > /dev/null; rc=$?; printf 'g\341rb\377ge {"report": [[1}\n\001\002\n'; exit $rc ;;
truncated) half "$@" ;;
hang) exec sleep 100000 ;;
hang-after) "$name" "$@" > /dev/null 2>&1; exec sleep 100000 ;;
cut-before) cut ;;
cut-after) "$name" "$@" > /dev/null 2>&1; cut ;;
cut-during) set -- $more "$@"; during "$@"; cut ;;
esac
"""

# Sections of the answer begin with a line "== name". $1: what to run before, $2: how the module is started.
RUNNER = r"""#!/bin/bash
mkdir -p /run/crash; cd /opt/direct-lvm || exit
module() { python3 -m ansible.modules.direct_lvm /opt/crash/args.json < /dev/null 2>&1; }
canary() { awk '{print $5 + $12}' /sys/block/vdc/stat; }
first() {
    rm -f /run/crash/{count,log,trace.*,during}
    echo "$1" > /run/crash/fault
    echo "== first"
    PATH=/opt/crash/bin:$PATH $2 python3 -m ansible.modules.direct_lvm /opt/crash/args-first.json < /dev/null 2>&1
    echo "== log"; cat /run/crash/log 2> /dev/null
    echo "== during"; grep -E 'KILL|INJECTED' /run/crash/during 2> /dev/null
    echo "== left"; lvs -a --noheadings -o lv_name,lv_attr,lv_size,lv_tags vgdocker 2>&1
    ls -A /etc/lvm/profile | grep direct-lvm-new
}
STATE
finish() {
    echo "== second"; module
    echo "== state"; state 2>&1 | sed 's/lvol[0-9]*_pmspare/lvolN_pmspare/g'
    echo "== third"; module
    echo "== canary"; canary
}
"$@"
"""
# The host as it has to become, without what differs from run to run.
LVM_STATE = r"""
state() {
    lvs -a vgdocker --noheadings --units b --separator ' ' -O lv_name -o \
lv_name,lv_attr,lv_size,segtype,lv_tags,lv_profile,seg_monitor,chunk_size,zero,lv_when_full,data_lv,metadata_lv,lv_active,lv_suspended
    vgs -a --noheadings --units b -o vg_name,vg_attr,vg_size,vg_free,vg_tags,pv_count,lv_count,vg_extent_size
    pvs --noheadings --units b -o pv_name,vg_name,pv_attr,pv_size,pv_used
    cat /etc/lvm/profile/docker-thinpool.profile
    ls -A /etc/lvm/profile /dev/vgdocker; ls /dev/mapper
    find /etc /run -name '*direct-lvm-new*' 2> /dev/null
    dmsetup info -c --noheadings -o name,suspended,open,segments,readonly -S 'name=~"^vgdocker"' --sort name
}
"""


def shim():
    """The text of the shim."""
    return SHIM.replace("CHANGING", " ".join(CHANGING)).replace("MARKER", MARKER).replace("CALLS", CALLS)


def install(guest, arguments, impatient, state=LVM_STATE, more=()):
    """Shims, runner and the module's arguments (impatient: with a short command_timeout) into a guest.

    state: a shell function of that name, which prints what has to be the same in the end.  more: further commands to shim.
    """
    guest.ssh("mkdir -p /opt/crash/bin; cat > /opt/crash/shim; chmod 755 /opt/crash/shim", stdin=shim())
    guest.ssh("cd /opt/crash/bin; for name in %s; do ln -sf ../shim $name; done" % " ".join([*SHIMMED, *more]))
    guest.ssh("cat > /opt/crash/runner", stdin=RUNNER.replace("STATE\n", state.lstrip("\n")))
    guest.ssh("cat > /opt/crash/args.json", stdin=arguments)
    guest.ssh("cat > /opt/crash/args-first.json", stdin=impatient)


def sections(text):
    """{name: text} of what the runner printed."""
    found, name = {}, ""
    for line in text.split("\n"):
        if line.startswith("== "):
            name = line[3:]
            found[name] = ""
        else:
            found[name] = found.get(name, "") + line + "\n"
    return found


def moments(trace, most):
    """[(system call, number)]: when to kill a command, from its strace: every write to a disk, and at most `most` of its
    changes of device-mapper, spread evenly."""
    writes, changes, count = [], [], {}
    for line in trace.split("\n"):
        call = line.split("(")[0]
        count[call] = count.get(call, 0) + 1
        if call == "io_submit" and "PWRITE" in line:
            writes.append((call, count[call]))
        elif re.search(r"DM_(DEV_CREATE|TABLE_LOAD|DEV_SUSPEND|DEV_REMOVE|DEV_RENAME|TARGET_MSG)", line):
            changes.append((call, count[call]))
    if len(changes) > most:
        changes = [changes[place * (len(changes) - 1) // (most - 1)] for place in range(most)]
    return writes + changes


def strace(path, call, number, effect):
    """The words before python3 that have the module's own system call on a path fail, or kill the module.

    The module names a file in an opened folder, which strace does not put together.
    """
    name = path.rsplit("/", 1)[1]
    form = "strace -qq -o /run/crash/during -P %s -P %s -e trace=%s -e inject=%s:%s:when=%d"
    return form % (path, name, call, call, effect, number)


def number(path, call):
    """Which of its calls makes a file: the first one looks for a staged file."""
    return 2 if (path, call) == (NEW, "openat") else 1


def file_faults():
    """[(name, words before python3, whether the module dies)] for every step of writing the profile, and of the lock."""
    folder, lock = PROFILE.rsplit("/", 1)[0], "/run/direct-lvm.lock"
    steps = [(NEW, "openat"), (NEW, "fchmod"), (NEW, "write"), (NEW, "fsync"), (NEW, "renameat"), (folder, "fsync")]
    for path, call in [(lock, "openat"), (lock, "flock"), *steps]:
        yield (
            "file %s %s kill" % (path.rsplit("/", 1)[1], call),
            strace(path, call, number(path, call), "signal=KILL"),
            True,
        )
    for (path, call), error in zip(steps, ("EROFS", "EPERM", "ENOSPC", "EIO", "EACCES", "EIO")):
        yield (
            "file %s %s %s" % (path.rsplit("/", 1)[1], call, error),
            strace(path, call, number(path, call), "error=" + error),
            False,
        )
