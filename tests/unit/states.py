"""Recorded states of real guests as the planner sees them."""

import json
import os

from module_utils.direct_lvm.facts import lvm
from module_utils.direct_lvm.model.host import Disk, Host, Signature
from module_utils.direct_lvm.model.names import SIZE_TAG, TAG
from module_utils.direct_lvm.model.spec import Pool, Spec
from module_utils.direct_lvm.texts import own_files

ALL_RECORDED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "recorded")
RECORDED = os.path.join(ALL_RECORDED, "lvm-states")
PROFILE = own_files.profile(Pool(devices=()))
OUR_UUID = "OurOwn-uuid-of-this-disk-0000-0000-abcdef"
GIB = 1024**3


def recorded(*parts):
    """The text of a recorded file."""
    with open(os.path.join(ALL_RECORDED, *parts), encoding="utf-8") as stream:
        return stream.read()


def names():
    """[(suite, state)] of everything recorded."""
    return sorted(
        (suite, state)
        for suite in os.listdir(RECORDED)
        if os.path.isdir(os.path.join(RECORDED, suite))
        for state in os.listdir(os.path.join(RECORDED, suite))
    )


def load(suite, state, name):
    """A recorded JSON file, None when this state has none."""
    path = os.path.join(RECORDED, suite, state, name)
    if not os.path.exists(path):
        return None
    with open(path) as stream:
        return json.load(stream)


def report(suite, state):
    """The recorded report as lvm_report.Lvm. Some have lvs, pvs and vgs instead, from which one is put together."""
    full = load(suite, state, "fullreport-all.json")
    if full is None:
        rows = {kind: load(suite, state, kind + "s.json")["report"][0][kind] for kind in ("lv", "pv", "vg")}
        tables = {"active": "live table present"}
        absent = {"lv_device_open": "", "lv_skip_activation": ""}
        lvs = [dict(absent, lv_live_table=tables.get(row["lv_active"], "unknown"), **row) for row in rows["lv"]]
        groups = [[vg] for vg in rows["vg"]] + [[]]
        full = {"report": []}
        for group in groups:
            name = group[0]["vg_name"] if group else ""
            here = [row for row in lvs if row["vg_name"] == name]
            pvs = [row for row in rows["pv"] if row["vg_name"] == name]
            full["report"].append({"vg": group, "pv": pvs, "lv": here, "seg": here})
    return lvm.parse(full)


def block_devices(tree):
    """lsblk's nested answer, flat: [(device, its parent or None)]."""
    todo = [(device, None) for device in tree["blockdevices"]]
    while todo:
        device, parent = todo.pop(0)
        yield device, parent
        todo += [(child, device) for child in device.get("children", ())]


def mounts(device):
    """All mount points of an lsblk entry and of what is stacked on it."""
    here = [point for point in device.get("mountpoints", [device.get("mountpoint")]) if point]
    return here + [point for child in device.get("children", ()) for point in mounts(child)]


def disk(suite, state, asked="/dev/vdb"):
    """The recorded disk as model.Disk."""
    tree = load(suite, state, "lsblk.json")
    if tree is None:
        return Disk(asked=asked, path=asked, size=30 * GIB, our_pv_uuid=OUR_UUID)
    device = next(device for device, _parent in block_devices(tree) if device["path"] == asked)
    found = load(suite, state, "wipefs-vdb.json") if asked == "/dev/vdb" else {"signatures": []}
    usage = {"gpt": "partition-table", "dos": "partition-table", "PMBR": "partition-table", "LVM2_member": "raid"}
    children = device.get("children", ())
    return Disk(
        asked=asked,
        path=asked,
        kind=device["type"],
        size=int(device["size"]),
        partitions=tuple(child["path"] for child in children if child["type"] == "part"),
        holders=tuple(child["name"] for child in children if child["type"] != "part"),
        mounts=tuple(point for point in mounts(device) if point != "[SWAP]"),
        swap="[SWAP]" in mounts(device),
        signatures=tuple(
            Signature(s["type"], int(s["offset"], 16), usage.get(s["type"], "filesystem")) for s in found["signatures"]
        ),
        our_pv_uuid=OUR_UUID,
    )


def host(suite, state, asked="/dev/vdb"):
    """The recorded state as model.Host, Docker not looked at."""
    profile = os.path.join(RECORDED, suite, state, "docker-thinpool.profile")
    text = None
    if os.path.exists(profile):
        with open(profile) as stream:
            text = stream.read()
    return Host(disks=(disk(suite, state, asked),), lvm=report(suite, state), profile_text=text)


def tagged(found, lvs=True):
    """The same host as if our runs had made it: tag on the VG, and on its plain LVs."""
    vgs = tuple(vg._replace(tags=(TAG, SIZE_TAG + "95pcVG")) for vg in found.lvm.vgs)
    plain = tuple(
        lv._replace(tags=(TAG,)) if lvs and lv.name in ("thinpool", "thinpoolmeta") and lv.segtype == "linear" else lv
        for lv in found.lvm.lvs
    )
    return found._replace(lvm=found.lvm._replace(vgs=vgs, lvs=plain))


ARTICLE = Pool(devices=("/dev/vdb",))


def spec(**changes):
    """The article's geometry, with changes."""
    from module_utils.direct_lvm.apply.spec import read_size

    return Spec(ARTICLE._replace(data_size=read_size("95%VG", "data"), **changes))
