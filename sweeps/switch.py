"""The switch sweep: while Docker moves from overlay2, or from loop files, onto the pool, the module is killed, the machine
loses power or a command fails, at every point; Docker must then run on one side or the other with everything that it held,
and the next run must end like an undisturbed one.

    .venv/bin/python3 sweeps/switch.py --parallel 2
    .venv/bin/python3 sweeps/switch.py --short
    .venv/bin/python3 sweeps/switch.py --from loop-lvm      both sides are called devicemapper, so folders are renamed
    .venv/bin/python3 sweeps/switch.py --from containers    images and containers come along from overlay2, without archives
"""

import re
import sys

import crash
import faults
from crash import Case

SHORT = (  # of each the last case that matches
    r"systemctl-stop kill-after$",
    r"systemctl-daemon-reload rc$",
    r"systemctl-start cut-after$",
    r"docker-load kill-before$",
)
CONTENT = r"""
docker import -c 'CMD ["sh"]' /usr/local/share/busybox.tar app:1
docker tag app:1 app:latest
docker run --name make app:1 sh -c 'echo more > /more'
docker commit make app:2
docker run --rm -v data:/d app:1 dd if=/dev/urandom of=/d/file bs=1M count=3
docker rm make
"""
# Docker on loop files: chosen while it finds nothing, then by the folder that it finds, as a host has it that nobody set up.
LOOP = r"""
systemctl stop docker.socket docker
rm -rf /var/lib/docker/*
mkdir -p /etc/docker; echo '{"storage-driver": "devicemapper"}' > /etc/docker/daemon.json
systemctl start docker.socket docker
"""
NOT_CHOSEN = r"""
systemctl stop docker.socket docker
rm /etc/docker/daemon.json
systemctl start docker.socket docker
"""
# Which side, and what Docker holds: images with all tags, what is in one of them, a volume's checksum.
HELD = r"""
held() {
    docker images --all --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}' | sort
    docker run --rm --pull never --network none -v data:/d app:2 sh -c 'cat /more; sha256sum /d/file'
}
side() {
    form='{{.Driver}}{{range .DriverStatus}}{{if eq (index . 0) "Data loop file"}} on loop files{{end}}{{end}}'
    for n in $(seq 60); do docker info --format "$form" 2> /dev/null && return; sleep 1; done
    echo down
}
state() {
    side
    held | diff /opt/crash/content - && echo "holds what it held"  # IDs and sums are each guest's own
    cat /etc/systemd/system/docker.service.d/daemon.conf
    find /etc /var/lib/direct-lvm -name '*direct-lvm-new*' -o -name incomplete 2> /dev/null
    ls /var/lib/docker /var/lib/docker/image | grep -v in-between  # what a Docker made that was started half-way
    cat /var/lib/direct-lvm/switch.json
}
"""
CONTAINERS = r"""
docker run -d --name web --restart always app:2 sh -c 'rm /more; echo changed > /new; exec sleep 100000'
docker run --name ended app:1 sh -c 'echo said; exit 3' || :
"""
# In another name than the images: what `held` says of them is the same on both sides, too.
HELD_TOO = r"""
eval "images_$(declare -f held)"
held() {
    for n in $(seq 60); do test -n "$(docker ps --quiet --filter name=web)" && break; sleep 1; done
    docker ps --all --no-trunc --format '{{.ID}} {{.Names}} {{.Image}} {{.State}}' | sort
    docker exec web sh -c 'ls /; cat /new'
    docker logs ended
    images_held
}
"""
RECORD, DROPIN = "/var/lib/direct-lvm/switch.json", "/etc/systemd/system/docker.service.d/daemon.conf"
MOVED = ("devicemapper", "image/devicemapper", "containers")
CHANGING = (("systemctl", "stop"), ("systemctl", "daemon-reload"), ("systemctl", "reset-failed"), ("systemctl", "start"))
CHANGING += (("docker", "save"), ("docker", "load"))
KEEPING = CHANGING + (("docker", "create"), ("docker", "stop"), ("docker", "start"))
KEEPERS = ("unshare", "dmsetup", "mount", "umount", "cp", "sync")
KEEP_SHORT = (
    r"docker-load cut-before$",
    r"docker-create kill-after$",
    r"docker-stop cut-after$",
    r"mount-.* rc$",
    r"file config.v2.json renameat 2 kill$",
    r"systemctl-daemon-reload cut-after$",
    r"systemctl-start kill-after$",
)


class Bench(crash.Bench):
    """A guest whose pool is ready and whose Docker holds something on overlay2."""

    begins, content_script = "overlay2", CONTENT
    disk, state, shimmed, docker = "4G", HELD, ("docker", "systemctl", "journalctl", "dockerd"), True

    def prepare(self):
        """Make content, then the pool, by a run that must not see Docker."""
        self.guest.ssh("bash -s", stdin=self.content_script)
        pool_only = crash.remote.run(self.guest)
        if pool_only.get("failed", "died" in pool_only):
            raise crash.LabError("the pool could not be made: %s" % pool_only)
        self.content = self.ask("held | tee /opt/crash/content", inline=True)
        begins = self.ask("side", inline=True).strip()
        if begins != self.begins:
            raise crash.LabError("Docker begins on %s, wanted %s" % (begins, self.begins))

    def held(self):
        """(what is wrong with what Docker holds now, where it is): on the side where it is when images are owed to none."""
        side = self.ask("side", inline=True).strip()
        if side == "down":
            return "Docker is down", side
        if side == self.begins and self.ask("held", inline=True) != self.content:
            return "Docker is on %s without what it held" % side, side
        volume = self.content.split()[-2]
        found = self.ask("cd /var/lib/docker/volumes/data/_data && sha256sum file", inline=True)
        return ("" if volume in found else "the volume is not what it was"), side

    def wrong_with(self, case, answer, log, number):
        """A failure is told, and Docker runs all the same."""
        if not answer:
            return "no answer"
        problem, _side = self.held()
        if problem:
            return "%s; the run said: %s" % (problem, answer.get("msg", "nothing"))
        if answer["failed"] and ("Traceback" in answer["msg"] or len(answer["msg"]) > 8000):
            return "not a sentence: %s" % answer["msg"][:500]
        return ""

    def booted(self):
        """After a power cut Docker comes up on one side or the other."""
        return self.held()


class LoopBench(Bench):
    """The same, on loop files. A Docker that comes up between two renames makes storage of its own; the next run sorts it out."""

    begins, content_script = "devicemapper on loop files", LOOP + CONTENT + NOT_CHOSEN


class KeepBench(Bench):
    """The same from overlay2, with containers that come along: one that has changed files, one that has ended."""

    content_script, state, docker = CONTENT + CONTAINERS, HELD + HELD_TOO, {"containers": "keep"}
    shimmed = (*Bench.shimmed, *KEEPERS)


def command_cases(calls, is_changing, kills):
    """Each Case of these commands. is_changing: a function of (name, words).  kills: how one that changes something is killed."""
    for number, name, *words in calls:
        label, changing = "%s %s-%s" % (number, name, verb(words)), is_changing(name, words)
        for kind in kills if changing else ("kill-before",):
            yield Case("%s %s" % (label, kind), "%s %s" % (number, kind))
        for kind in ("rc", "rc-after") if changing else ("rc", "garbage"):
            yield Case("%s %s" % (label, kind), "%s %s" % (number, kind), dies=False)
        for kind in ("cut-before", "cut-after") if changing else ():
            yield Case("%s %s" % (label, kind), "%s %s %s" % (number, kind, number + kind), cut=True)


def cases(calls, _traces, _most):
    """Every Case, from what an undisturbed run did: all commands from the first archive on, and every file."""
    first = next(index for index, (_number, name, *words) in enumerate(calls) if (name, verb(words)) == ("docker", "save"))
    kills = ("kill-before", "kill-after", "kill-orphan")
    yield from command_cases(calls[first:], lambda name, words: (name, verb(words)) in CHANGING, kills)
    for path, times in ((RECORD, 3), (DROPIN, 1)):
        new, name = path + ".direct-lvm-new", path.rsplit("/", 1)[1]
        for call, often in (("openat", 2), ("renameat", 1)):  # a staged file is looked for before one is made
            for count in range(1, often * times + 1):
                yield Case("file %s %s %d kill" % (name, call, count), before=faults.strace(new, call, count, "signal=KILL"))
                error = faults.strace(new, call, count, "error=EIO")
                yield Case("file %s %s %d EIO" % (name, call, count), before=error, dies=False)


def keep_cases(calls, traces, most):
    """Those from the second daemon on, and each container's record."""
    first = next(index for index, (_number, name, *_words) in enumerate(calls) if name == "unshare")
    yield from command_cases(calls[first:], keeps, ("kill-before", "kill-after"))
    for count in (1, 2):
        name = "/config.v2.json.direct-lvm-new"
        yield Case("file config.v2.json renameat %d kill" % count, before=faults.strace(name, "renameat", count, "signal=KILL"))
        error = faults.strace(name, "renameat", count, "error=EIO")
        yield Case("file config.v2.json renameat %d EIO" % count, before=error, dies=False)


def keeps(name, words):
    """Whether a command changes something where containers come along."""
    return name in KEEPERS or (name, verb(words)) in KEEPING


def loop_cases(calls, traces, most):
    """Those, and each folder that is renamed."""
    yield from cases(calls, traces, most)
    for name in MOVED:
        path, count = "/var/lib/docker/" + name, 1 + name.startswith("image/")  # the second one of its name in an opened folder
        yield Case("move %s kill" % name, before=faults.strace(path, "renameat", count, "signal=KILL"))
        yield Case("move %s EIO" % name, before=faults.strace(path, "renameat", count, "error=EIO"), dies=False)


def verb(words):
    """What a docker or systemctl command does: `--host X save` is save, `show` is show."""
    return next((word for word in words if re.match(r"[a-z][a-z-]*$", word) and word not in ("unix",)), "")


if __name__ == "__main__":
    states = {"overlay2": (Bench, cases, SHORT), "loop-lvm": (LoopBench, loop_cases, (*SHORT, r"move devicemapper kill$"))}
    states["containers"] = (KeepBench, keep_cases, KEEP_SHORT)
    sys.exit(crash.main(__doc__, "switch-sweep", states))
