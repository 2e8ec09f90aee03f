"""The crash sweep: at every external command and file write of a fresh run, the module is killed, the machine loses power
or the command fails; then the next run must end with the same host, and the one after it must change nothing.

    .venv/bin/python3 sweeps/crash.py --parallel 2          everything
    .venv/bin/python3 sweeps/crash.py --short               some representative cases, less than four minutes
    .venv/bin/python3 sweeps/crash.py --cases 'lvconvert'   those whose name matches

The pool only: Docker is not looked at. /dev/vdb (30 GiB) becomes the pool. /dev/vdc is full of random data and is named
nowhere: the kernel's counter of writes to it must stand still in every case, and its checksum must be the same at the end.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import queue
import re
import sys
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "sweeps"), str(ROOT / "lab")]
import faults
import remote
from guest import Guest
from image import LabError

SHORT = (  # of each the last case that matches
    r"pvcreate kill-after$",
    r"vgcreate kill-during io_submit",
    r"lvconvert kill-during io_submit",
    r"profile.direct-lvm-new renameat kill",
    r"lvconvert rc$",
    r"fullreport truncated$",
)
PATIENCE = 20  # command_timeout of a first run with a hanging command: an emulated lvconvert takes some seconds
HALF_IS_WHOLE = ("blkid", "wipefs")  # on a blank disk the probes print nothing: nothing is missing in the half of that
READING_ERRORS = ("rc", "garbage", "truncated", "hang")
CHANGING_ERRORS = ("rc", "rc-after", "garbage", "hang", "hang-after")


class Case(NamedTuple):
    """One fault. fault: what the shim reads; before: words before python3; dies: whether the module is killed by it."""

    name: str
    fault: str = "0 none"
    before: str = ""
    dies: bool = True
    cut: bool = False


class Outcome(NamedTuple):
    """verdict: converged, missed (the fault did not happen) or FAILED. why: what was wrong.

    said: what the disturbed run said or left.
    """

    case: Case
    verdict: str
    why: str
    said: str
    seconds: float


class Bench:
    """One guest, prepared: blank target, full canary, shims; a snapshot to go back to; the host as it has to become."""

    disk, state, shimmed, docker = "30G", faults.LVM_STATE, (), False

    def __init__(self, name, canary):
        owner = None if "--keep" in sys.argv else os.getpid()  # a guest does not outlive its sweep
        self.guest = guest = Guest(name).up(disks=(self.disk, canary), cpus=1, owner=owner)
        remote.install(guest)
        wanted = json.loads(remote.parameters(docker=self.docker))
        impatient = {"ANSIBLE_MODULE_ARGS": dict(wanted["ANSIBLE_MODULE_ARGS"], command_timeout=PATIENCE)}
        faults.install(guest, json.dumps(wanted), json.dumps(impatient), self.state, self.shimmed)
        guest.ssh("dd if=/dev/urandom of=/dev/vdc bs=4M oflag=direct 2>/dev/null", check=False)  # until it is full
        self.canary = guest.ssh("sha256sum < /dev/vdc").stdout
        self.prepare()
        self.canary_writes = self.ask("canary", inline=True).strip()
        guest.snapshot("blank")

    def prepare(self):
        """Bring the guest to where each case begins: caches are warm, the disk is blank."""
        self.ask("module > /dev/null; vgremove -f vgdocker; pvremove /dev/vdb; rm -f %s" % faults.PROFILE, inline=True)
        self.guest.ssh("blkdiscard /dev/vdb; sync")

    def ask(self, command, inline=False):
        """Run a function of the runner; inline: shell text that uses its functions."""
        text = "source /opt/crash/runner; %s" % command if inline else "bash /opt/crash/runner %s" % command
        return self.guest.ssh(text, check=False, timeout=900).stdout

    def first(self, case):
        """What the runner printed about the first run."""
        return faults.sections(self.ask("first '%s' '%s'" % (case.fault, case.before)))

    def record(self):
        """(the external commands of an undisturbed run as lists of words, {number: strace}, the host after it)."""
        self.guest.restore("blank")
        told = self.first(Case("record", "0 record"))
        calls = [line.split() for line in told["log"].splitlines() if line]
        traces = {}
        for number, name, *_words in calls:
            if name in faults.CHANGING:
                traces[number] = self.guest.ssh("cat /run/crash/trace." + number).stdout
        after = faults.sections(self.ask("finish"))
        if result(told["first"]).get("failed", True) or result(after["third"]).get("changed", True):
            raise LabError("the undisturbed run failed: %s" % told["first"])
        return calls, traces, after["state"]

    def run(self, case, wanted):
        """Carry one case out; its Outcome. wanted: the host as it has to be in the end."""
        started = time.monotonic()
        try:
            self.guest.restore("blank")
            problem, said = self.cut(case) if case.cut else self.disturb(case)
            after = {} if problem == "missed" else faults.sections(self.ask("finish"))
        except (LabError, KeyError) as error:
            problem, said, after = "the guest: %s" % error, "", {}
        verdict = "missed" if problem == "missed" else "converged"
        if after:
            problem = problem or self.judge(case, after, wanted)
        if problem and problem != "missed":
            verdict = "FAILED"
        return Outcome(case, verdict, problem, said, time.monotonic() - started)

    def disturb(self, case):
        """(what is wrong with the first run, its sentence)."""
        told = self.first(case)
        answer, log = result(told["first"]), told["log"].split("\n")
        number = int(case.fault.split()[0])
        reached = len([line for line in log if line]) >= number
        if not reached or ("during" in case.name and "KILL" not in told["during"]):
            return "missed", ""
        if case.before and not re.search("KILL|INJECTED", told["during"]):
            return "missed", ""
        left = "; ".join(line.strip() for line in told["left"].splitlines() if line.strip() and "not found" not in line)
        if case.dies:
            return ("the module lived on" if answer else "", "left: " + left)
        return self.wrong_with(case, answer, log, number), answer.get("msg", "went well").split("\n")[0]

    def cut(self, case):
        """The same when the machine loses power: wait for the shim's marker on the console."""
        guest = self.guest
        guest.ssh("bash /opt/crash/runner first '%s' '' > /dev/null 2>&1 < /dev/null &" % case.fault)
        console, deadline = guest.folder / "console", time.monotonic() + 120
        marker = re.compile(r"%s %s (\d+)" % (faults.MARKER, re.escape(case.fault.split()[2])))
        while not marker.search(console.read_text(errors="replace")):
            if time.monotonic() > deadline:
                return "missed", ""
            time.sleep(0.1)
        writes = marker.search(console.read_text(errors="replace")).group(1)
        guest.power_cut()
        guest.start()
        guest.wait()
        problem, left = self.booted()
        return problem if writes == self.canary_writes else "the canary was written to before the cut", "left: " + left

    def booted(self):
        """(what is wrong after a power cut and a boot, what was left)."""
        left = self.ask("lvs -a --noheadings -o lv_name,lv_attr,lv_size vgdocker 2>&1", inline=True)
        return "", "; ".join(line.strip() for line in left.splitlines() if "not found" not in line)

    def judge(self, case, after, wanted):
        """What is wrong with the runs after the disturbed one, '' when nothing."""
        second, third = result(after["second"]), result(after["third"])
        if second.get("failed", True):
            return "the next run failed: %s" % (second.get("msg") or after["second"][:500])
        if after["state"] != wanted:
            return "another host than after an undisturbed run:\n" + difference(wanted, after["state"])
        if third.get("failed", True) or third.get("changed", True):
            return "the run after that: %s" % (third.get("msg") or third.get("steps") or after["third"][:500])
        if after["canary"].strip() != ("0" if case.cut else self.canary_writes):
            return "the canary was written to"
        return ""

    def wrong_with(self, case, answer, log, number):
        """What is wrong with how a run reported a failure, and with what it did after it."""
        return wrong_with(case, answer, log, number)

    def close(self, keep):
        """Compare the canary's checksum; take the guest down. What is wrong, or ''."""
        same = self.guest.ssh("sha256sum < /dev/vdc").stdout == self.canary
        if not keep:
            self.guest.down()
        return "" if same else "%s: the canary's checksum has changed" % self.guest.name


def result(text):
    """The module's answer as a dictionary, {} when it died before it gave one."""
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            return dict({"failed": False}, **json.loads(line))
    return {}


def wrong_with(case, answer, log, number):
    """What is wrong with how a run reported a command or a file that failed, '' when nothing."""
    if not answer:
        return "no answer"
    kind = case.fault.split()[1]
    name = log[number - 1].split()[1] if number else faults.NEW
    if not answer["failed"]:  # what a changing command prints is not read: only its return code counts
        return "" if kind in ("garbage", "truncated") and name in faults.CHANGING else "the failure was not noticed"
    later = [line for line in log[number:] if line and line.split()[1] in faults.CHANGING]
    if number and later:
        return "commands after the failure: %s" % "; ".join(later)
    if not re.search(r"`(\S*/)?%s " % re.escape(name) if number else "docker-thinpool|/etc/lvm/profile", answer["msg"]):
        return "the sentence does not name %s: %s" % (name, answer["msg"])
    if "Traceback" in answer["msg"] or len(answer["msg"]) > 2000:
        return "not a sentence: %s" % answer["msg"][:500]
    return ""


def difference(wanted, found):
    """The lines that are only in one of both."""
    ours, theirs = wanted.splitlines(), found.splitlines()
    return "\n".join(
        ["  - " + line for line in ours if line not in theirs] + ["  + " + line for line in theirs if line not in ours]
    )


def cases(calls, traces, most):
    """Every Case, from what an undisturbed run did. most: moments of device-mapper per command."""
    for number, name, *words in calls:
        label = "%s %s" % (number, name)
        if name == "lvm":
            label += " " + words[0]
        changing = name in faults.CHANGING
        for kind in ("kill-before", "kill-after", "kill-orphan"):
            yield Case("%s %s" % (label, kind), "%s %s" % (number, kind))
        points = faults.moments(traces.get(number, ""), most)
        for call, when in points:
            yield Case("%s kill-during %s %d" % (label, call, when), "%s kill-during %s %d" % (number, call, when))
        for kind in CHANGING_ERRORS if changing else READING_ERRORS:
            if kind == "truncated" and " ".join([name, *words[:1]]).startswith(HALF_IS_WHOLE):
                continue
            yield Case("%s %s" % (label, kind), "%s %s" % (number, kind), dies=False)
        if points:
            yield Case("%s died" % label, "%s died %s %d" % (number, *points[len(points) // 2]), dies=False)
        if changing or name == "lvmconfig":
            for kind in ("cut-before", "cut-after"):
                yield Case("%s %s" % (label, kind), "%s %s %s" % (number, kind, number + kind), cut=True)
        writes = [point for point in points if point[0] == "io_submit"]
        for call, when in writes[:: max(1, len(writes) // 3)] if changing else ():
            fault = "%s cut-during %s %s %d" % (number, number + call + str(when), call, when)
            yield Case("%s cut-during %s %d" % (label, call, when), fault, cut=True)
    for name, before, dies in faults.file_faults():
        yield Case(name, before=before, dies=dies)


def table(outcomes):
    """The outcomes per command and kind of fault, as text."""
    rows = collections.OrderedDict()
    for outcome in outcomes:
        words = outcome.case.name.split()
        kind = re.sub(r" (io_submit|ioctl) \d+$", "", " ".join(words[2:])) if words[0].isdigit() else words[-1]
        command = " ".join(words[:2]) if words[0].isdigit() else "file write"
        group = next((g for g in ("kill", "cut") if re.search(r"\b" + g, kind)), "error")
        counts = rows.setdefault(command, {})
        counts.setdefault(group, []).append(outcome.verdict)
    lines = ["%-28s %14s %14s %14s" % ("", "killed", "power cut", "error")]
    for command, counts in sorted(rows.items(), key=lambda row: int(row[0].split()[0]) if row[0][0].isdigit() else 999):
        cells = ["%d/%d" % (counts[g].count("converged"), len(counts[g])) if g in counts else "-" for g in ("kill", "cut", "error")]
        lines.append("%-28s %14s %14s %14s" % (command, *cells))
    return "\n".join(lines)


def sweep(given, bench_class, all_cases, representative):
    """Run what was asked for; the number of failures.

    all_cases: a function of (calls, traces, given.moments) to the Cases.  representative: patterns for --short.
    """
    canary = "128M" if given.short else "1G"
    with concurrent.futures.ThreadPoolExecutor(given.parallel) as pool:
        names = ["%s-%d" % (given.name, number) for number in range(given.parallel)]
        benches = list(pool.map(lambda name: bench_class(name, canary), names))
        try:
            calls, traces, wanted = benches[0].record()
            print(
                "An undisturbed run:\n" + "\n".join("  " + " ".join(call) for call in calls) + "\nends with:\n" + wanted, flush=True
            )
            pattern = re.compile(given.cases)
            todo = [case for case in all_cases(calls, traces, given.moments) if pattern.search(case.name)]
            if given.short:
                todo = [[case for case in todo if re.search(wanted_case, case.name)][-1] for wanted_case in representative]
            free = queue.Queue()
            for bench in benches:
                free.put(bench)

            def one(case):
                bench = free.get()
                try:
                    outcome = bench.run(case, wanted)
                finally:
                    free.put(bench)
                print("%-9s %5.1fs  %s  %s" % (outcome.verdict, outcome.seconds, case.name, outcome.said), flush=True)
                if outcome.why and outcome.why != "missed":
                    print("    " + outcome.why.replace("\n", "\n    "), flush=True)
                return outcome

            outcomes = list(pool.map(one, todo))
            problems = [bench.close(given.keep) for bench in benches]
        except BaseException:
            if not given.keep:
                for bench in benches:
                    bench.guest.down()
            raise
    totals = collections.Counter(outcome.verdict for outcome in outcomes)
    print("\n" + table(outcomes))
    print("%d cases: %s" % (len(outcomes), ", ".join("%d %s" % (count, verdict) for verdict, count in sorted(totals.items()))))
    for problem in filter(None, problems):
        print(problem)
    if not any(problems):
        print("The canary is unchanged.")
    return totals["FAILED"] + len([problem for problem in problems if problem])


def main(description=__doc__, name="crash", states=None):
    """The command line. states: {name: (Bench, cases, SHORT)} of where a sweep may begin, the usual one first."""
    states = states or {"blank": (Bench, cases, SHORT)}
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="some representative cases")
    parser.add_argument("--cases", default="", metavar="REGEX", help="only cases whose name matches")
    parser.add_argument("--parallel", type=int, default=1, metavar="N", help="guests at the same time")
    parser.add_argument("--moments", type=int, default=4, metavar="N", help="moments of device-mapper changes per command")
    parser.add_argument("--name", default=name, help="the guests are called NAME-0, NAME-1, ...")
    parser.add_argument("--keep", action="store_true", help="leave the guests as the last case left them")
    parser.add_argument("--from", dest="state", choices=states, default=next(iter(states)), help="what the guests have before")
    started = time.monotonic()
    given = parser.parse_args()
    try:
        failures = sweep(given, *states[given.state])
    except LabError as error:
        sys.exit("crash sweep: %s" % error)
    print("%.0f minutes" % ((time.monotonic() - started) / 60))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
