# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether an answer of `lvm fullreport` is one: rows of texts, numbers where LVM writes numbers, no size of zero. Pure.

Source: lvm2, lib/report/columns.h (NUM, SIZ, PCT), libdm/libdm-report.c (JSON: every value is a string).
"""

import re

SECTIONS = ("vg", "pv", "lv", "pvseg", "seg")
NUMBERS = {
    *("pv_size", "dev_size", "pe_start", "pv_pe_count", "pv_pe_alloc_count", "pv_mda_count", "pv_mda_size"),
    *("vg_extent_size", "vg_extent_count", "vg_free_count", "vg_missing_pv_count"),
    *("lv_size", "lv_metadata_size", "chunk_size", "thin_count", "transaction_id"),
}
NEEDED = {"vg_extent_size", "vg_extent_count", "vg_free_count", "vg_missing_pv_count", "lv_size"}  # never ""
PERCENTAGES = {"data_percent", "metadata_percent", "copy_percent"}
NUMBER = re.compile(r"(?:[0-9]{1,18})?\Z")  # "" where it does not apply
PERCENTAGE = re.compile(r"(?:-1|[0-9]{1,9}(?:\.[0-9]{1,9})?)?\Z")


def reports(answer):
    """The reports of an answer, as a list of {section: [{field: text}]}. Raises ValueError that names what is odd."""
    listed = answer.get("report") if isinstance(answer, dict) else None
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ValueError("it has no list `report` of objects")
    for report in listed:
        for section in SECTIONS:
            rows = report.get(section, [])
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise ValueError("`%s` is %.60r, no list of rows" % (section, rows))
            for row in rows:
                check(section, row)
    return listed


def check(section, row):
    """Raise ValueError unless each field of a row is what LVM prints for it."""
    for field, value in row.items():
        if not isinstance(value, str) or not value.isprintable():
            fits = False
        elif field in NUMBERS:
            needed = field in NEEDED or (field in ("pv_size", "dev_size") and row.get("pv_uuid"))
            fits = NUMBER.match(value) is not None and not (needed and not value)
        else:
            fits = field not in PERCENTAGES or PERCENTAGE.match(value) is not None
        if not fits:
            raise odd(section, field, row)
    if section == "vg" and not int(row["vg_extent_size"] or 0):
        raise odd(section, "vg_extent_size", row)
    if section == "seg" and row.get("segtype") == "thin-pool" and not int(row.get("chunk_size") or 0):
        raise odd(section, "chunk_size", row)


def odd(section, field, row):
    """The error for a field that is not what LVM prints."""
    name = next((row[key] for key in ("vg_name", "lv_name", "pv_name", "lv_uuid") if isinstance(row.get(key), str)), "")
    return ValueError("%s of %s%s is %.60r" % (field, section, " %r" % name if name else "", row.get(field)))
