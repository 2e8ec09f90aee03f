# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A pool's figures in Prometheus' text format, for the textfile collector of node_exporter. Run on the host by a systemd timer.

Formats: prometheus.io/docs/instrumenting/exposition_formats, prometheus.io/docs/practices/naming.
"""

import argparse
import os
import sys
from contextlib import suppress

from ..facts import lvm
from ..host import files
from ..model import geometry
from ..model.errors import CommandFailed, Refused
from ..model.quoting import paste, printable
from ..model.spec import Pool

PREFIX = "direct_lvm_"
HELP = (
    ("pool_active", "Whether the thin pool is there and active."),
    ("pool_healthy", "Whether LVM finds nothing wrong with the pool and all disks of its volume group are there."),
    ("pool_monitored", "Whether dmeventd watches the pool, so that it is extended when it fills up."),
    ("pool_data_size_bytes", "Size of the pool's data."),
    ("pool_data_used_ratio", "Part of the data that is used, 0 to 1."),
    ("pool_metadata_size_bytes", "Size of the pool's metadata."),
    ("pool_metadata_used_ratio", "Part of the metadata that is used, 0 to 1."),
    ("pool_growth_steps_left", "Autoextend steps that still fit into the volume group, each in the worst case, up to 100."),
    ("vg_size_bytes", "Size of the volume group."),
    ("vg_free_bytes", "Free space of the volume group, the reserve from which the pool grows."),
)
ELSEWHERE = "pool_metrics_textfile_dir: /var/lib/node_exporter"
COLLECTED = ("collect_success", "Whether LVM answered when the figures were last collected.")


def figures(pool, report):
    """{name without PREFIX: number} of a lvm_report.Lvm. What LVM cannot tell, or is switched off, is not there."""
    layout = geometry.current_layout(report, pool)
    vg = report.vg(pool.vg)
    numbers = {"pool_active": 0}
    if vg:
        numbers.update(vg_size_bytes=vg.extents * vg.extent_size, vg_free_bytes=vg.free * vg.extent_size)
    if layout:
        lv = report.lv(pool.vg, pool.name)
        numbers.update(
            pool_active=int(lv.active),
            pool_healthy=int(not (lv.health or lv.check_needed or vg.missing_pvs)),
            pool_monitored=int(bool(lv.monitored)) if lv.active else None,
            pool_data_size_bytes=lv.size,
            pool_data_used_ratio=ratio(lv.data_percent),
            pool_metadata_size_bytes=lv.metadata_size,
            pool_metadata_used_ratio=ratio(lv.metadata_percent),
            pool_growth_steps_left=geometry.growth_steps(layout, pool.autoextend_threshold, pool.autoextend_percent),
        )
    return {name: value for name, value in numbers.items() if value is not None}


def ratio(percent):
    """Percent as a part of 1, None as it is. LVM gives two decimals."""
    return None if percent is None else round(percent / 100, 4)


def exposition(pool, numbers):
    """The figures as text. numbers None: LVM did not answer, and the text says only that."""
    lines = []
    for name, text in HELP:
        if numbers and name in numbers:
            labels = '{vg="%s"}' % pool.vg if name.startswith("vg_") else '{vg="%s",pool="%s"}' % (pool.vg, pool.name)
            lines += metric(name, text, labels, numbers[name])
    return "\n".join(lines + metric(*COLLECTED, labels="", value=int(numbers is not None))) + "\n"


def metric(name, text, labels, value):
    """The three lines of a metric with one sample."""
    name = PREFIX + name
    return ["# HELP %s %s" % (name, text), "# TYPE %s gauge" % name, "%s%s %s" % (name, labels, value)]


def check_folder(folder):
    """Make the folder for the figures if it is missing; whether it was. Raises Refused for one in which a third may write.

    Its owner may be another user: Debian gives it, or the one above, to user prometheus, who serves the figures, and could
    tell other ones anyway. Whoever else writes there could hide that the pool fills up. What root writes there, it writes
    through no link (files).
    """
    place = folder
    while True:
        with suppress(FileNotFoundError), files.opened(place) as (_descriptor, passed):
            must_be_its_owners(folder, passed, place == folder)
            break
        place = os.path.dirname(place)
    if place == folder:
        return False
    with files.opened(folder, make=0o755) as (_descriptor, passed):
        must_be_its_owners(folder, passed, True)
    return True


def must_be_its_owners(folder, passed, whole):
    """Raise Refused when others than root and the owners of the folders on the way may write there.

    passed: of files.opened().  whole: whether the last one is the folder itself, else the rest is to be made in it.
    """
    weak = files.weak_spot(passed, filled=whole)
    if not weak:
        return
    last = passed[-1]
    if whole and last.status.st_mode & files.WRITABLE and not files.weak_spot(passed[:-1]):
        way_out = "Leave it to its owner, the user of node_exporter: chmod go-w %s" % paste(last.path)
    else:
        way_out = "Name one in a folder of root's, and give it to node_exporter as --collector.textfile.directory:\n" + ELSEWHERE
    raise Refused("the figures cannot go to %s: %s, who could hide that the pool fills up." % (printable(folder), weak), way_out)


def prepare(folder):
    """Make and check the folder for the figures, for the role. Prints "made" when it was missing. Returns 0, or 1 with why."""
    try:
        files.must_be_root()
        print("made" if check_folder(folder) else "there")
    except (Refused, OSError) as failure:
        sys.stderr.write("%s\n" % failure)
        return 1
    return 0


def remove(path):
    """Remove the file with the figures, for the role. Prints "removed" when it was there. Returns 0, or 1 with why."""
    try:
        files.must_be_root()
        there = os.path.lexists(path)
        files.remove(path)
        print("removed" if there else "absent")
    except (Refused, OSError) as failure:
        sys.stderr.write("%s\n" % failure)
        return 1
    return 0


def main(argv=None):
    """Collect once. Returns 0, or 1 when LVM did not answer: the file says so then, and standard error says why.

    --prepare FOLDER, or --remove FILE, alone: see prepare() and remove().
    """
    argv = sys.argv[1:] if argv is None else argv
    for_the_role = {"--prepare": prepare, "--remove": remove}
    if len(argv) == 2 and argv[0] in for_the_role:
        return for_the_role[argv[0]](argv[1])
    parser = argparse.ArgumentParser(prog="direct_lvm.metrics", description=__doc__.splitlines()[0])
    parser.add_argument("--vg", required=True)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--threshold", type=int, required=True, help="of the autoextend policy, to count the steps that are left")
    parser.add_argument("--percent", type=int, required=True, help="of the autoextend policy")
    parser.add_argument("--output", required=True, help="the file to replace, NAME.prom")
    options = parser.parse_args(argv)
    policy = {"autoextend_threshold": options.threshold, "autoextend_percent": options.percent}
    pool = Pool(devices=(), vg=options.vg, name=options.pool, **policy)
    try:
        files.must_be_root()
        numbers, problem = figures(pool, lvm.ask()), None
    except (Refused, CommandFailed, OSError) as failure:
        numbers, problem = None, failure
    try:
        check_folder(os.path.dirname(options.output))
        files.write_text(options.output, exposition(pool, numbers))
    except (Refused, OSError) as failure:
        problem = problem or failure
    if problem:
        sys.stderr.write("%s\n" % problem)
    return int(problem is not None)


if __name__ == "__main__":
    raise SystemExit(main())
