# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask LVM once, and read its answer into lvm_report.Lvm."""

import glob
import os
import re

from ..host import commands, files
from ..model.errors import CommandFailed, Refused
from ..model.lvm_report import Lv, Lvm, Pv, Vg
from . import lvm_answer

OLDEST = (2, 2, 158)  # `lvm fullreport` and --reportformat came with it (lvm2, WHATS_NEW)

PROCESSES = "/proc/[0-9]*/cmdline"
# Segment fields asked in the lv report end with rc 5 and cut JSON, so they stand in the seg report.
REPORTS = (
    (
        "pv",
        "pv_name,pv_uuid,pv_size,dev_size,pe_start,pv_pe_count,pv_pe_alloc_count,pv_missing,pv_exported,pv_duplicate,"
        "pv_mda_count,pv_mda_size",
    ),
    (
        "vg",
        "vg_name,vg_uuid,vg_tags,vg_extent_size,vg_extent_count,vg_free_count,vg_exported,vg_missing_pv_count,"
        "vg_systemid,vg_lock_type",
    ),
    (
        "lv",
        "lv_uuid,lv_name,lv_size,lv_tags,lv_active,lv_device_open,lv_profile,data_lv,metadata_lv,pool_lv,"
        "data_percent,metadata_percent,lv_metadata_size,lv_when_full,lv_health_status,lv_check_needed,"
        "lv_skip_activation,lv_dm_path,lv_live_table,lv_host,move_pv,copy_percent",
    ),
    ("pvseg", "pvseg_start"),
    ("seg", "lv_uuid,segtype,chunk_size,zero,discards,seg_monitor,thin_count,transaction_id,devices"),
)


def ask():
    """One `lvm fullreport` (lvmreport(7)): PVs, VGs and LVs, hidden ones too, in one consistent answer.

    PVs come under their /dev nodes, symlinks resolved; a missing one as [unknown].

    Raises CommandFailed, and Refused when LVM is too old to answer.
    """
    argv = ["lvm", "fullreport", "--all", "--reportformat", "json", "--units", "b", "--nosuffix"]
    for report, fields in REPORTS:
        argv += ["--configreport", report, "-o", fields]
    try:
        answer, result = commands.run_json(argv)
    except CommandFailed:
        check_version()
        raise
    try:
        report = parse(answer, result.err)
        # LVM prefers other names for some devices (/dev/mapper/mpatha); disks are compared by their /dev node.
        return report._replace(
            pvs=tuple(pv._replace(name=os.path.realpath(pv.name) if pv.name.startswith("/") else pv.name) for pv in report.pvs),
            lvs=tuple(lv._replace(moved_from=os.path.realpath(lv.moved_from)) if lv.moved_from else lv for lv in report.lvs),
        )
    except (KeyError, ValueError) as error:
        why = "it tells no %s" % error.args[0] if isinstance(error, KeyError) else error
        raise CommandFailed(argv, "gave a report that cannot be read (%s)" % why, result.out[:200]) from error


def unusable(paths):
    """{path: reason} of the devices that LVM itself would not take: a filter, a devices file ... One process, none for no path.

    `pvs DEVICE` says why in its own words (lvm2, devname_error_reason(); 2.03.11 has it), 2.03.02 only that it finds no device.
    A device that it would take and that is no PV yet is one of which it finds no physical volume. Without a field of the VG it
    would look at labels only, and say no more than that it finds no device (tried with 2.03.16).
    """
    if not paths:
        return {}
    answer = commands.run(("pvs", "--noheadings", "-o", "pv_name,vg_name", *paths), ok=None).err
    reasons = {}
    for path in paths:
        name = re.escape(path)
        reason = re.search(r"^\s*Cannot use %s: (.+?)\.?$" % name, answer, re.MULTILINE)
        older = re.search(r"^\s*Failed to find device .*\"%s\"" % name, answer, re.MULTILINE)
        if reason or older:
            reasons[path] = reason.group(1) if reason else "device not found"
    return reasons


def check_version():
    """Raise Refused when the reason why LVM did not answer is its age."""
    try:
        numbers = version(commands.run(("lvm", "version"), ok=None).out)
    except CommandFailed:  # the first failure is the one to tell
        return
    if numbers and numbers < OLDEST:
        raise Refused(
            "LVM here is %d.%02d.%d; this tool needs `lvm fullreport`, which came with 2.02.158." % numbers,
            "Upgrade the package lvm2, or the release of this host.",
        )


def is_moving():
    """Whether a process of LVM sees to a pvmove: without one it ends with the segment that the kernel copies just now.

    It is pvmove, `lvm lvpoll` (which lvmpolld starts), or in the background without lvmpolld "(lvm2)" (lvm2, become_daemon).
    Anybody's process may be called so, and a container has a root and a file /sbin/lvm too: it counts that root runs this
    host's own program.
    """
    program = commands.find("lvm")
    for path in glob.glob(PROCESSES):
        process = os.path.dirname(path)
        try:
            words = (files.read_text(path) or "").split("\0")[:2]
            if not any(os.path.basename(word) in ("lvpoll", "pvmove") or word.startswith("(lvm2") for word in words):
                continue
            ours = os.stat(process).st_uid in (0, os.geteuid())
            if ours and program and os.path.samefile(os.path.join(process, "exe"), program):
                return True
        except OSError:  # it has ended
            continue
    return False


def version(text):
    """(2, 3, 16) from the output of `lvm version`, None when it is not there."""
    match = re.search(r"LVM version:\s+([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})", text)
    return tuple(map(int, match.groups())) if match else None


def parse(answer, stderr=""):
    """Read a fullreport, as JSON gave it, into lvm_report.Lvm. Raises KeyError or ValueError on other input.

    Segments repeat per LV when there are several: the first one stands for the LV, devices are joined.
    """
    pvs, vgs, lvs = [], [], []
    for report in lvm_answer.reports(answer):
        vg_name = next((vg["vg_name"] for vg in report.get("vg", ())), None)
        vgs += [_vg(row) for row in report.get("vg", ())]
        # --all lists every block device among the orphans; those without a UUID are not PVs.
        pvs += [_pv(row, vg_name) for row in report.get("pv", ()) if row["pv_uuid"]]
        segments = {}
        for segment in report.get("seg", ()):
            segments.setdefault(segment["lv_uuid"], []).append(segment)
        lvs += [_lv(row, vg_name, segments.get(row["lv_uuid"], [{}])) for row in report.get("lv", ())]
    warnings = tuple(line.strip() for line in stderr.splitlines() if line.strip())
    return Lvm(tuple(pvs), tuple(vgs), tuple(lvs), warnings)


def _tags(text):
    return tuple(tag for tag in text.split(",") if tag)


def _pv(row, vg):
    return Pv(
        name=row["pv_name"],
        uuid=row["pv_uuid"],
        vg=vg,
        size=int(row["pv_size"]),
        dev_size=int(row["dev_size"]),
        pe_start=int(row["pe_start"] or 0),
        extents=int(row["pv_pe_count"] or 0),
        extents_used=int(row["pv_pe_alloc_count"] or 0),
        missing=bool(row["pv_missing"]),
        exported=bool(row["pv_exported"]),
        duplicate=bool(row["pv_duplicate"]),
        mda_at_end=int(row.get("pv_mda_size") or 0) if int(row.get("pv_mda_count") or 0) > 1 else 0,
    )


def _vg(row):
    return Vg(
        name=row["vg_name"],
        uuid=row["vg_uuid"],
        tags=_tags(row["vg_tags"]),
        extent_size=int(row["vg_extent_size"]),
        extents=int(row["vg_extent_count"]),
        free=int(row["vg_free_count"]),
        exported=bool(row["vg_exported"]),
        missing_pvs=int(row["vg_missing_pv_count"]),
        system_id=row["vg_systemid"],
        shared=row["vg_lock_type"] not in ("", "none"),
    )


def _lv(row, vg, segments):
    first = segments[0]
    # "" beside an inactive table, "unknown" without any: a command killed right after it made the device (tried with 2.03.16).
    half = row["lv_active"] == "active" and row["lv_live_table"] != "live table present"
    return Lv(
        name=row["lv_name"].strip("[]"),
        vg=vg,
        hidden=row["lv_name"].startswith("["),
        segtype=first.get("segtype", ""),
        size=int(row["lv_size"]),
        tags=_tags(row["lv_tags"]),
        active=row["lv_active"] == "active" and not half,
        open=row["lv_device_open"] == "open",
        profile=row["lv_profile"],
        data_lv=row["data_lv"].strip("[]"),
        metadata_lv=row["metadata_lv"].strip("[]"),
        pool_lv=row["pool_lv"].strip("[]"),
        data_percent=_float(row["data_percent"]),
        metadata_percent=_float(row["metadata_percent"]),
        metadata_size=int(row["lv_metadata_size"] or 0),
        chunk_size=int(first.get("chunk_size") or 0),
        zero={"": False, "zero": True}.get(first.get("zero", "unknown")),
        monitored={"monitored": True, "not monitored": False, "pending": False}.get(first.get("seg_monitor")),
        thin_count=int(first.get("thin_count") or 0),
        transaction_id=int(first.get("transaction_id") or 0),
        when_full=row["lv_when_full"],
        health=row["lv_health_status"],
        check_needed=row["lv_check_needed"] == "check needed",
        skip_activation=bool(row["lv_skip_activation"]),
        dm_path=row["lv_dm_path"],
        half=half,
        devices=tuple(device for segment in segments for device in segment.get("devices", "").split(",") if device),
        moved_from=row.get("move_pv", ""),
        moved_percent=_float(row.get("copy_percent", "")),
        made_on=row.get("lv_host", ""),
        discards=first.get("discards", ""),
    )


def _float(text):
    return float(text) if text not in ("", "-1") else None
