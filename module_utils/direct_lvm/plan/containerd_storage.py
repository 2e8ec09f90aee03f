# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""containerd's devmapper snapshotter on the pool: whether it may, what is still due, and how to take it away again. Pure.

A restart of containerd leaves containers running (KillMode=process in its unit), and Docker serves: so this half comes
first, and fails on its own.
"""

from ..model import engines
from ..model.errors import Refused
from ..model.host import ADDRESS
from ..model.names import MANAGED, device_name, full
from ..model.quoting import paste
from ..model.steps import (
    CheckConfiguration,
    Command,
    DropSnapshots,
    RemoveFile,
    Transaction,
    WaitForContainerd,
    WriteFile,
    forget_failures,
)
from ..texts.containerd_config import desired_files, is_settled, pool_names, without_import
from .thin_pool import from_elsewhere

RESTART_TIMEOUT = 120
SHOWN = 5  # containers that a sentence names


def plan_containerd(spec, host):
    """[step]: the configuration, checked by containerd itself, then the Transaction; [] in the desired state.

    Raises Refused when containerd cannot use the pool, uses another one, or has metadata that do not belong to it.
    """
    containerd, desired = host.containerd, spec.containerd
    check_ready(containerd, desired)
    check_pair(spec, host)
    check_same_containerd(spec, host)
    files = understood(containerd, desired, lambda: desired_files(containerd, spec.pool, desired))
    if is_settled(containerd, files):
        check_last_word(spec, host)
        return []
    check_program(containerd)
    check = CheckConfiguration(
        containerd.program,
        without_import(containerd.config_text, desired.config_file, containerd.config_path),
        files[0][2],
        device_name(spec.pool),
        "check the configuration with containerd before it is written",
        containerd.config_path,
    )
    steps = to_files(files, "containerd's snapshotter on %s" % full(spec.pool))
    steps += restart(containerd, desired, "ok", containerd.unit.main_pid)
    return [check, Transaction(tuple(steps), way_back(containerd, desired, files), "give containerd the pool", "containerd")]


def understood(containerd, desired, change):
    """What a change of config.toml gives. Raises Refused for an `imports` that is not understood."""
    try:
        return change()
    except ValueError as error:
        raise Refused(
            "%s imports other files, and %s: that line is not changed by this tool." % (containerd.config_path, error),
            'Write it on one line yourself, with our file: imports = [..., "%s"]' % desired.config_file,
        ) from error


def check_last_word(spec, host):
    """Raise Refused when another file has given containerd another pool since, as of its next start."""
    containerd, pools = host.containerd, host.snapshotter_pools
    if pools and device_name(spec.pool) not in pools:
        raise Refused(
            "what %s imports beside %s gives containerd's devmapper snapshotter the pool %s, as of its next start."
            % (containerd.config_path, spec.containerd.config_file, ", ".join(pools)),
            "Take that section out; to see what containerd reads: {0} --config {1} config dump".format(
                paste(containerd.program), paste(containerd.config_path)
            ),
        )


def check_program(containerd):
    """Raise Refused unless it is known which configuration containerd reads, and containerd can read it."""
    if not containerd.program:
        raise Refused(
            "containerd.service starts containerd by a script, and it is down (%s): which configuration it reads is not known."
            % containerd.problem.rstrip("."),
            "Start it first: systemctl start containerd    # why it does not: journalctl -u containerd -n 30",
        )
    if containerd.other_config:
        raise Refused(
            "The running containerd was started with the configuration file %s, and containerd.service names %s by now."
            % (containerd.config_path, containerd.other_config),
            "Restart it with that file; containers keep running: systemctl daemon-reload; systemctl restart containerd",
        )
    if containerd.dump_problem:
        raise Refused(
            "containerd cannot read its own configuration: %s." % containerd.dump_problem.rstrip("."),
            "Correct it first; to see: {0} --config {1} config dump".format(
                paste(containerd.program), paste(containerd.config_path)
            ),
        )


def check_same_containerd(spec, host):
    """Raise Refused when Docker is to use the snapshotter, and asks another containerd than the one that gets the pool."""
    containerd, docker = host.containerd, host.docker
    if not spec.docker or docker is None or not engines.is_image_store(spec.docker.engine, docker.version):
        return
    if containerd.docker_address and containerd.docker_address != containerd.address:
        raise Refused(
            "Docker asks containerd on %s, and containerd.service listens on %s: Docker's is another one, which would not get the "
            "pool." % (containerd.docker_address, containerd.address),
            "Give Docker this one: add `--containerd=%s` to its options (systemctl cat docker shows where they stand), then, "
            "which restarts it: systemctl daemon-reload; systemctl restart docker" % paste(containerd.address),
        )


def way_back(containerd, desired, files):
    """(step, ...): the files as they were, in the other order: containerd does not start with an import that is not there."""
    steps = to_files([(path, text, now) for path, now, text in reversed(files)], "as before")
    return tuple(steps + restart(containerd, desired, ""))


def to_files(files, why):
    """[step] for ((path, text now, text wanted), ...): only what differs; None is no file."""
    return [
        RemoveFile(path, "there was none") if text is None else WriteFile(path, text, why, None)
        for path, now, text in files
        if now != text
    ]


def restart(containerd, desired, plugin, former=0):
    """[step]: containerd with the files as they are. plugin: the snapshotter's status to wait for, "" for any.

    former: the process that has to be gone then. On the way back it is not known which one the failed restart has left.
    """
    return [
        Command(("systemctl", "daemon-reload"), "let systemd read the drop-in"),
        forget_failures("containerd.service"),
        Command(("systemctl", "restart", "containerd.service"), "restart containerd; containers keep running", RESTART_TIMEOUT),
        WaitForContainerd(
            containerd.address, "wait until containerd has loaded its snapshotter", desired.start_timeout, plugin, former
        ),
    ]


def client(containerd):
    """containerd's client for this containerd, as an operator types it."""
    return "ctr" if containerd.address == ADDRESS else "ctr --address " + paste(containerd.address)


def check_ready(containerd, desired):
    """Raise Refused unless containerd is there, answers, was built with the plugin, and no other file is in the way."""
    if not containerd.installed:
        raise Refused(
            "containerd is not installed as a service of its own (%s)." % containerd.problem,
            "Install it, Docker takes it when it is there: apt-get install containerd    # docker.com's package: containerd.io",
        )
    settled = containerd.own_text is not None
    if containerd.plugin is None and not settled:
        raise Refused(
            "containerd does not answer on %s: %s." % (containerd.address, containerd.problem.rstrip(".")),
            "Look at: systemctl status containerd; journalctl -u containerd -n 30",
        )
    if containerd.plugin == "absent":
        raise Refused(
            "this containerd was built without the devmapper snapshotter, or its configuration disables it.",
            "Look at: %s plugins ls | grep devmapper; grep disabled_plugins %s\n"
            "The packages of Debian and docker.com have it." % (client(containerd), paste(containerd.config_path)),
        )
    if containerd.elsewhere:
        path, pool = containerd.elsewhere[0]
        raise Refused(
            "%s gives containerd's devmapper snapshotter the pool %s; it has one pool, and %s would replace that section."
            % (path, pool, desired.config_file),
            'If nobody needs it, take the section [plugins."io.containerd.snapshotter.v1.devmapper"] out of %s.' % path,
        )
    for path, text in ((desired.config_file, containerd.own_text), (desired.dropin, containerd.dropin_text)):
        if text is not None and not text.startswith(MANAGED):
            raise Refused(
                "%s is somebody else's: its first line is not `%s`." % (path, MANAGED),
                "Set it aside: mv %s %s" % (paste(path), paste(path + ".before-direct-lvm")),
            )


def check_pair(spec, host):
    """Raise Refused unless pool and snapshotter metadata go together: thin device ids have one owner.

    The snapshotter keeps a database per pool, ROOT_PATH/POOL.db, and one of all snapshots, metadata.db (containerd,
    snapshots/devmapper: pool_device.go, snapshotter.go).
    """
    containerd, pool = host.containerd, spec.pool
    device, name, root = device_name(pool), full(pool), spec.containerd.root_path
    lv, docker = host.lvm.thin_pool(pool), host.docker
    ours = device in containerd.databases
    remake = "Take pool and metadata away, all data in them are lost, and start afresh: "
    remake += "ansible-playbook playbooks/remove.yml -e thin_pool_remove_data=true, then site.yml"
    if lv is None and ours:
        raise Refused(
            "%s holds containerd's metadata of a pool %s, and there is no such pool: the devices that they name are gone."
            % (root, device),
            "If that pool is gone for ever: systemctl stop docker containerd; mv %s %s; "
            "systemctl start containerd docker" % (paste(root), paste(root + ".of-a-lost-pool")),
        )
    used = lv.data_percent or 0.0 if lv else 0.0
    graph = docker is not None and docker.transaction is not None and "devicemapper/loop" not in docker.root_state
    if used and graph and not ours:
        raise Refused(
            "pool %s holds what Docker's graph driver put there (%.2f %%), its metadata are in %s/devicemapper*: two owners would "
            "hand out the same thin device ids twice." % (name, used, docker.root),
            "Bring Docker's images off it first, with a Docker that can still read it: ansible-playbook playbooks/upgrade.yml\n"
            + remake,
        )
    if used and not ours:
        raise Refused(
            "pool %s holds data (%.2f %%) and containerd has no metadata for it in %s, so what they are is not known.%s"
            % (name, used, root, from_elsewhere(pool, host)),
            "If %s was moved, bring it back. %s" % (root, remake),
        )
    others = [other for other in containerd.databases if other != device]
    if others and not ours:
        raise Refused(
            "%s holds containerd's metadata of pool %s, not of %s: its snapshots would be looked for in the wrong pool."
            % (root, ", ".join(others), device),
            "Choose another folder: containerd_storage_root_path: /var/lib/containerd/devmapper-%s" % device,
        )


def check_idle(spec, host):
    """Raise Refused while containers run on the pool: their snapshots would be dropped one by one until one cannot be."""
    tasks = host.containerd.tasks
    if tasks:
        more = " and %d more" % (len(tasks) - SHOWN) if len(tasks) > SHOWN else ""
        first = ", ".join("%s (namespace %s)" % (task, namespace) for namespace, task in tasks[:SHOWN])
        raise Refused(
            "containers %s%s run on pool %s." % (first, more, full(spec.pool)),
            "Stop them where they were started; on Kubernetes drain the node and stop the kubelet. Or end them here:\n"
            + "\n".join("%s --namespace %s tasks rm --force %s" % (client(host.containerd), *map(paste, task)) for task in tasks),
        )


def plan_unconfigure(spec, host):
    """[step]: take the snapshotter's configuration away again, with what is in the pool; [] when there is no file of this tool.

    Raises Refused while snapshots are there and thin_pool_remove_data does not say that they may go.
    """
    containerd, desired, device = host.containerd, spec.containerd, device_name(spec.pool)
    own, dropin = ((text or "").startswith(MANAGED) for text in (containerd.own_text, containerd.dropin_text))
    foreign, steps = containerd.own_text is not None and not own, []
    if not (own or dropin) or (own and device not in pool_names(containerd.own_text)):  # that is about another pool, which stays
        return []
    if containerd.snapshots is None and containerd.databases:
        raise Refused(
            "containerd does not tell what is on the pool (%s)." % (containerd.problem or "its snapshotter is not loaded"),
            "Restart it first: systemctl restart containerd; %s plugins ls | grep devmapper" % client(containerd),
        )
    if containerd.snapshots:
        names = sorted({namespace for namespace, _key in containerd.snapshots})
        if not spec.pool.remove_data:
            raise Refused(
                "containerd has %d snapshots on pool %s, of images or containers in namespace %s."
                % (len(containerd.snapshots), full(spec.pool), ", ".join(names)),
                "If nobody needs them: thin_pool_remove_data: true\nThey are lost then.",
            )
        steps.append(
            DropSnapshots(containerd.address, "remove %d snapshots of namespace %s" % (len(containerd.snapshots), ", ".join(names)))
        )
    if containerd.installed:
        check_program(containerd)
    bare = understood(
        containerd, desired, lambda: without_import(containerd.config_text, desired.config_file, containerd.config_path)
    )
    files = (
        (containerd.config_path, containerd.config_text, containerd.config_text if foreign else bare),
        (desired.config_file, containerd.own_text, None if own else containerd.own_text),
        (desired.dropin, containerd.dropin_text, None if dropin else containerd.dropin_text),
    )
    forth = tuple(to_files(files, "without the snapshotter") + restart(containerd, desired, "", containerd.unit.main_pid))
    away = Transaction(forth, way_back(containerd, desired, files), "take the pool away from containerd", "containerd")
    # The folder is the operator's choice, and may hold more than these.
    databases = ["%s.db" % device] + ([] if set(containerd.databases) - {device} else ["metadata.db"])
    why = "the snapshotter's metadata, which name nothing any more"
    return [*steps, away] + [RemoveFile("%s/%s" % (desired.root_path, name), why) for name in databases]
