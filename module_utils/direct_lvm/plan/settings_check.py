# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the host's LVM is told (lvm.conf(5)) and would have a command of ours, or the next boot, do otherwise than planned. Pure.

What only our commands see is pinned (lvm_pins.PINNED). What LVM does by itself too, at boot or in dmeventd, is refused
when the pool could not work, and else warned of. docs/lvm-settings.md has the whole table, and a test holds it to this file.
"""

from ..model.errors import Refused
from ..model.names import PROFILE_FOLDER, TAG, full
from ..model.quoting import paste
from ..model.spec import CLEAN_UP, REMOVE, REPAIR, ROLL_BACK
from .pool_policy import unmonitored

EVERYTHING = ("a|.*|",)
FILTERS = ("devices/global_filter", "devices/filter")
# {setting: (values with which all is well, what happens with another)}
REFUSED = {
    "global/metadata_read_only": (("0",), "LVM changes nothing on this host"),
    "global/activation": (("1",), "LVM activates nothing on this host"),
    "global/thin_disabled_features": (("",), "LVM uses thin pools without these features of the kernel: %s"),
    "metadata/pvmetadatacopies": (("1", "2"), "no volume group can be made of physical volumes without metadata"),
}
# {setting: (function of its value that says whether all is well, what happens otherwise)}
WARNED = {
    "global/thin_check_executable": (
        lambda value: value != "",
        "LVM activates a pool without having its metadata checked, at boot too, however damaged they are",
    ),
    "global/thin_check_options": (
        lambda value: "--skip-mappings" not in value and "--super-block-only" not in value,
        "LVM has only a part of a pool's metadata checked before it activates the pool",
    ),
    "dmeventd/thin_command": (
        lambda value: value in ("", "lvm lvextend --use-policies"),
        "dmeventd has another command than LVM's own see to a pool that fills up",
    ),
    "activation/auto_activation_volume_list": (None, "LVM does not activate the pool by itself at boot"),
}
VOLUME_LISTS = ("activation/volume_list", "activation/read_only_volume_list")
OTHERS_REFUSED = ("activation/monitoring", "config/profile_dir", "global/use_lvmlockd", *FILTERS)
STARTED = "The drop-ins of Docker and containerd activate it before they start; nothing else does."


def check(spec, host):
    """Raise Refused when a setting would have our commands fail, or the pool not work after the next boot."""
    settings = host.settings
    away = spec.goal in (ROLL_BACK, CLEAN_UP)
    if settings is None or away:  # Docker leaves the pool: LVM changes nothing
        return
    for name, (well, effect) in sorted(REFUSED.items()):
        value = settings.text(name)
        if value and value not in well:
            raise refusal(settings, name, effect % value if "%s" in effect else effect, well[0])
    if settings.text("global/use_lvmlockd") == "1" and not settings.lockd:
        effect = "LVM changes nothing without lvmlockd, which does not run"
        raise refusal(settings, "global/use_lvmlockd", effect, "0", "Or start it: systemctl start lvmlockd")
    if spec.goal == REMOVE:
        return
    check_lists(spec.pool, host)
    if spec.goal == REPAIR:
        return
    if settings.text("activation/monitoring") == "0":
        raise unmonitored()
    folder = settings.text("config/profile_dir")
    if folder and folder.rstrip("/") + "/" != PROFILE_FOLDER:
        effect = "LVM does not look for profiles in %s, where the pool's policy goes" % PROFILE_FOLDER.rstrip("/")
        raise refusal(settings, "config/profile_dir", effect, PROFILE_FOLDER.rstrip("/"))


def check_lists(pool, host):
    """Raise Refused for a volume_list without the pool, and for a read_only_volume_list with it."""
    settings = host.settings
    for name in VOLUME_LISTS:
        items = settings.listed(name)
        if items is None or matches(items, pool, host.lvm) == (name == "activation/volume_list"):
            continue
        if name == "activation/volume_list":
            effect = "LVM activates no LV of VG %s" % pool.vg
            way_out = 'Add the VG to the list: "%s"' % pool.vg
        else:
            effect = "LVM activates the LVs of VG %s read-only" % pool.vg
            way_out = "Take out of the list what stands for VG %s or its tag %s." % (pool.vg, TAG)
        raise Refused("%s: %s." % (named(settings, name), effect), way_out + see(name))


def matches(items, pool, lvm):
    """Whether LVM finds the pool in a volume list: VG, VG/LV, @tag of VG or LV (lvm2, _lv_passes_volumes_filter()).

    "@*" is any tag that the host has too: of a VG that is there, its tags may be among those.
    While the pool is still to be made, other LVs have to be active first, so its own name is not enough.
    """
    vg, lv = lvm.vg(pool.vg), lvm.thin_pool(pool)
    tags = {TAG, *(vg.tags if vg else ()), *(lv.tags if lv else ())}
    names = {pool.vg} | ({full(pool)} if lv else set()) | {"@" + tag for tag in tags}
    foreign = any(not tag.startswith(TAG) for tag in tags)
    return any(item in names or (item == "@*" and foreign) for item in items)


def refusal(settings, name, effect, good, more=""):
    """The Refused about one setting."""
    section, _, setting = name.partition("/")
    text = good if good.isdigit() else '"%s"' % good
    text = "[]" if name == "global/thin_disabled_features" else text
    return Refused(
        "%s: %s." % (named(settings, name), effect),
        "Set it in %s, for every LV of this host, and run again:\n%s {\n\t%s = %s\n}%s%s"
        % (settings.lines.get(name, "/etc/lvm/lvm.conf"), section, setting, text, "\n" + more if more else "", see(name)),
    )


def named(settings, name):
    """`lvm.conf has global/metadata_read_only=1 on this host (/etc/lvm/lvmlocal.conf line 3)`."""
    value = settings.values.get(name, "")
    shown = "[%s]" % ", ".join('"%s"' % word for word in value) if isinstance(value, tuple) else value or '""'
    where = " (%s)" % settings.lines[name] if name in settings.lines else ""
    return "lvm.conf has %s=%s on this host%s" % (name, shown, where)


def see(*names):
    """How to see what is in force."""
    return "\nSee what is in force: lvmconfig --type full %s" % " ".join(names)


def check_usable(disk, host, wiped):
    """Raise Refused for a disk that LVM would not take: a filter hides it. wiped: whether something is erased from it first.

    What is not in the devices file is no obstacle: pvcreate adds it (lvmdevices(8)). What LVM sees on a disk that is about
    to be erased, a partition table or a member of an array, is gone when pvcreate comes.
    """
    reason = dict(host.unusable).get(disk.path)
    if reason is None or "devices file" in reason or (wiped and "filter" not in reason):
        return
    settings = host.settings
    filters = [name for name in FILTERS if settings and settings.listed(name) not in (None, EVERYTHING)]
    raise Refused(
        "LVM does not take %s: %s.%s" % (disk.path, reason, "".join(" %s." % named(settings, name) for name in filters)),
        'Let the disk through in /etc/lvm/lvm.conf, before what rejects it, and run again: "a|^%s$|"\n'
        "LVM tells whether it takes it (`Failed to find physical volume` means yes): pvs %s"
        % ((paste(disk.path),) * 2)
        + see(*FILTERS),
    )


def warnings(spec, host):
    """[sentence] about settings with which the pool works, but not as an operator may think. [] when LVM was not asked."""
    settings, pool = host.settings, spec.pool
    if settings is None or spec.goal == REMOVE:
        return []
    sentences = []
    for name, (is_well, effect) in sorted(WARNED.items()):
        items = settings.listed(name)
        if is_well is None:
            bad = items is not None and not matches(items, pool, host.lvm)
            effect += ". " + STARTED.rstrip(".")
        else:
            bad = items is not None and not all(is_well(item) for item in items)
        if bad:
            sentences.append("%s: %s.%s" % (named(settings, name), effect, see(name).replace("\n", " ")))
    for name in settings.autoactivation:
        if name in (pool.vg, full(pool)):
            command = "%s --setautoactivation y %s" % ("lvchange" if "/" in name else "vgchange", name)
            sentence = "%s has autoactivation off: LVM does not activate the pool by itself at boot. %s At once: %s"
            sentences.append(sentence % (name, STARTED, command))
    return sentences
