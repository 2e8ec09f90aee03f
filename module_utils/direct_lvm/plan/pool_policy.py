# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pool's policy: its profile, attached; the pool watched; what happens when it is full. Pure."""

from ..model.errors import Refused
from ..model.names import MANAGED, device_name, full, profile_path
from ..model.quoting import paste
from ..model.steps import Command, WriteFile
from ..texts import own_files


def plan_policy(pool, host):
    """[step]: the profile file, attached; the pool monitored; what happens when it is full. Raises Refused."""
    lv, path, steps = host.lvm.thin_pool(pool), profile_path(pool), []  # lv None: made by the steps before
    if lv and lv.active and lv.monitored is None:
        raise unmonitored()
    text = own_files.profile(pool)
    if not is_same(host.profile_text, text):
        attached = lv is not None and lv.profile == pool.profile_name
        if host.profile_text is not None and not (attached or replaceable(host.profile_text, text)):
            raise Refused(
                "%s exists and was not written by this tool." % path,
                "Choose another thin_pool_profile_name, or move it away: mv {} {}".format(
                    paste(path), paste(path + ".before-direct-lvm")
                ),
            )
        others = profile_users(pool, host.lvm)
        if host.profile_text is not None and others:
            raise Refused(
                "%s is the policy of %s too, and says something else than what is wanted here: each run for one of them would "
                "change the policy of the other." % (path, ", ".join(others)),
                "Choose another thin_pool_profile_name for %s." % full(pool),
            )
        policy = (("threshold", pool.autoextend_threshold), ("percent", pool.autoextend_percent))
        steps.append(WriteFile(path, text, "the autoextend policy: at %d %%, by %d %%" % (policy[0][1], policy[1][1])))
        # LVM stays silent about a profile it cannot read: ask it for the values (lvmconfig(8), rc 5 when broken).
        argv = ("lvmconfig", "--metadataprofile", pool.profile_name)
        argv += tuple("activation/thin_pool_autoextend_" + name for name, _value in policy)
        says = tuple("thin_pool_autoextend_%s=%d" % setting for setting in policy)
        steps.append(Command(argv, "check that LVM can read the profile: it silently ignores a broken one", says=says))
    if lv is None or lv.profile != pool.profile_name:
        steps.append(Command(("lvchange", "--metadataprofile", pool.profile_name, full(pool)), "attach the policy to the pool"))
    if steps and lv is not None and max(lv.data_percent or 0, lv.metadata_percent or 0) > pool.autoextend_threshold:
        # dmeventd has already looked at this much use, under another policy. It looks again only when use has grown by
        # 5 %, and at 100 % never (dmeventd_thin.c, CHECK_STEP). 5: the VG has no room for a step, which is warned about.
        argv = ("lvextend", "--use-policies", full(pool))
        steps.append(Command(argv, "extend the pool now, if the new policy says so", ok=(0, 5)))
    if lv is None or not lv.monitored:
        # Attaching a profile never switches monitoring on, and dmeventd forgets pools when it is restarted.
        steps.append(Command(("lvchange", "--monitor", "y", full(pool)), "have dmeventd watch the pool"))
    when_full = "error" if pool.error_when_full else "queue"
    if (lv.when_full if lv else "queue") != when_full:
        argv = ("lvchange", "--errorwhenfull", "y" if pool.error_when_full else "n", full(pool))
        effect = "fail writes at once" if pool.error_when_full else "queue writes for 60 s"
        steps.append(Command(argv, "when the pool is full: " + effect))
    return steps


def profile_users(pool, lvm):
    """[vg/lv] that have the pool's profile attached, the pool itself not counted."""
    mine = (pool.vg, pool.name)
    return ["%s/%s" % (lv.vg, lv.name) for lv in lvm.lvs if lv.profile == pool.profile_name and (lv.vg, lv.name) != mine]


def unmonitored():
    """The Refused for a host on which LVM watches nothing: `seg_monitor` says so of no pool, whatever lvchange --monitor does."""
    return Refused(
        "lvm.conf has activation/monitoring=0 on this host: after a boot dmeventd watches no pool, so none is ever extended.",
        "Set it in /etc/lvm/lvm.conf, for every LV of this host, and run again:\nactivation {\n\tmonitoring = 1\n}\n"
        "See what is in force: lvmconfig --type full activation/monitoring",
    )


def is_same(current, text):
    """Whether a profile is ours and says what text says, whatever its comments say: they named the pool once."""
    settings = [[line for line in (profile or "").splitlines() if not line.startswith("#")] for profile in (current, text)]
    return current is not None and current.startswith(MANAGED) and settings[0] == settings[1]


def replaceable(current, desired):
    """Whether a profile file may be replaced: it is ours, or it says the same (the article's own file does)."""

    lines = [[line.replace(" ", "").strip() for line in text.splitlines() if "#" not in line] for text in (current, desired)]
    settings = [sorted(line for line in side if "=" in line) for side in lines]
    return current.startswith(MANAGED) or settings[0] == settings[1]


def discards(pool, lv):
    """[lvchange] when discarded blocks are to become something else. Refused for a change that LVM does not make on a pool in use.

    lvchange(8): from and to ignore only while the pool is not active (the kernel's rule too, dm-thin.c, pool_ctr()).
    """
    if lv.discards in ("", pool.discards):
        return []
    if lv.active and lv.open and "ignore" in (lv.discards, pool.discards):
        names = (full(pool), lv.discards, device_name(pool), pool.discards)
        raise Refused(
            "pool %s has discards=%s, wanted %s, and is in use: LVM changes that only while the pool is not active.%s"
            % (full(pool), lv.discards, pool.discards, kept(lv)),
            "Keep it: thin_pool_discards: {1}\nOr stop who uses it for a moment, on the host, as root, and run again:\n"
            "running=$(docker ps -q); echo $running | xargs -r docker stop; systemctl stop docker.socket docker containerd\n"
            "dmsetup deps -o devname | awk -F: 'index($0, \"({2})\") {{print $1}}' | xargs -r -n 1 dmsetup remove --retry\n"
            "lvchange -an {0} && lvchange --discards {3} {0} && lvchange -ay {0}\n"
            "systemctl start containerd docker.socket docker; echo $running | xargs -r docker start".format(*names),
        )
    return [Command(("lvchange", "--discards", pool.discards, full(pool)), "discarded blocks: %s" % pool.discards)]


def kept(lv):
    """What a pool that ignores discards costs, with a space before it; "" for any other."""
    effect = (
        " The blocks of files and images that were removed stay in use, and containerd's devmapper snapshotter keeps the devices"
    )
    return effect + " of removed containers for ever." if lv.discards == "ignore" else ""
