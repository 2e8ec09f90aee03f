# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The dm.* options of Docker's devicemapper driver: one table, and the check that a daemon will start with them. Pure.

Source: moby v20.10, daemon/graphdriver/devmapper/deviceset.go, NewDeviceSet. The daemon dies on any other name.
"""

import difflib
import re

from ..model.errors import Refused

TRUE = ("1", "t", "T", "TRUE", "true", "True")  # strconv.ParseBool
FALSE = ("0", "f", "F", "FALSE", "false", "False")
BOOLEAN = ("|".join(TRUE + FALSE), "true or false")
SIZE = (r"[0-9]+(\.[0-9]+)?([kKmMgGtTpP]?[iI]?[bB]?)", "a size such as 20G")
ANY = (r".+", "not empty")
OURS = "the pool decides it, and this tool sets it"
LOOP = "it belongs to loop files, and a thin pool has none"
OWN_LVM = "it makes Docker create a pool of its own on a whole disk"

# name: (pattern, what it must be) when it may be set, else the reason why not
DM_OPTIONS = {
    "thinpooldev": OURS,
    "datadev": OURS,
    "metadatadev": OURS,
    "blocksize": OURS,
    "loopdatasize": LOOP,
    "loopmetadatasize": LOOP,
    "directlvm_device": OWN_LVM,
    "directlvm_device_force": OWN_LVM,
    "thinp_percent": OWN_LVM,
    "thinp_metapercent": OWN_LVM,
    "thinp_autoextend_threshold": OWN_LVM,
    "thinp_autoextend_percent": OWN_LVM,
    "basesize": SIZE,
    "fs": ("ext4|xfs", "ext4 or xfs"),
    "mkfsarg": ANY,
    "mountopt": ANY,
    "blkdiscard": BOOLEAN,
    "override_udev_sync_check": BOOLEAN,
    "use_deferred_removal": BOOLEAN,
    "use_deferred_deletion": BOOLEAN,
    "min_free_space": ("[0-9]{1,2}%", "a percentage below 100 such as 10%"),
    "xfs_nospace_max_retries": ("[0-9]{1,19}", "a whole number"),
    "libdm_log_level": ("[2-7]", "a number from 2 to 7"),
}


def check_options(options):
    """Raise Refused unless a daemon on a ready thin pool starts with these options.

    options: {"dm.NAME": value}; a value's text is what counts, so true and "true" are the same.
    """
    texts = {str(name): str(value) for name, value in options.items()}
    for name in sorted(texts):
        check_option(name, texts[name])
    if texts.get("dm.use_deferred_removal") in FALSE and texts.get("dm.use_deferred_deletion") not in FALSE:
        raise Refused(
            "dm.use_deferred_removal is off and dm.use_deferred_deletion is not: Docker does not start so",
            "dm.use_deferred_deletion: false    # or leave dm.use_deferred_removal on",
        )


def check_option(name, value):
    """Raise Refused unless NAME=VALUE is a dm.* option of upstream Docker that may be set here."""
    short = name[3:] if name.startswith("dm.") else ""
    rule = DM_OPTIONS.get(short)
    if short == "no_warn_on_loop_devices":
        raise Refused(
            "%s exists only in Red Hat's builds of Docker; no other daemon starts with it" % name,
            "Leave it out: a thin pool has no loop devices to be warned of.",
        )
    if rule is None:
        close = difflib.get_close_matches(name.lower(), ["dm." + known for known in DM_OPTIONS], 1)
        settable = ", ".join(sorted("dm." + known for known, one in DM_OPTIONS.items() if isinstance(one, tuple)))
        raise Refused(
            "%s is not an option of Docker's devicemapper driver, and the daemon does not start with it%s"
            % (name, "; did you mean %s?" % close[0] if close else ""),
            "Known ones that may be set: " + settable,
        )
    if not isinstance(rule, tuple):
        raise Refused("%s cannot be set here: %s" % (name, rule), "Leave it out of the storage options.")
    bad = [char for char in value if char.isspace() or not char.isprintable() or char in "\"'`\\$"]
    bad += ["%"] if "%" in value and short != "min_free_space" else []
    if bad:
        raise Refused(
            "%s=%s holds %r, which systemd would split or replace on its way to Docker" % (name, value, bad[0]),
            "Use a value without blanks, quotes, backslashes, $ and %.",
        )
    if not re.match(r"(?:%s)\Z" % rule[0], value):
        raise Refused("%s=%s is refused by Docker" % (name, value), "It must be %s." % rule[1])
