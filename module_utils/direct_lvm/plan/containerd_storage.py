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
    Switch,
    WaitForContainerd,
    WriteFile,
    forget_failures,
)
from ..texts.containerd_config import desired_files, is_settled, pool_names, without_import
from .thin_pool import from_elsewhere

RESTART_TIMEOUT = 120
SHOWN = 5  # containers that a sentence names


def plan_containerd(spec, host):
    """[step]: the configuration, checked by containerd itself, then the Switch; [] in the desired state.

    Raises Refused when containerd cannot use the pool, uses another one, or has metadata that do not belong to it.
    """
    found, wanted = host.containerd, spec.containerd
    check_ready(found, wanted)
    check_pair(spec, host)
    check_same_containerd(spec, host)
    files = understood(found, wanted, lambda: desired_files(found, spec.pool, wanted))
    if is_settled(found, files):
        check_last_word(spec, host)
        return []
    check_program(found)
    check = CheckConfiguration(
        found.program,
        without_import(found.config_text, wanted.config_file, found.config_path),
        files[0][2],
        device_name(spec.pool),
        "check the configuration with containerd before it is written",
        found.config_path,
    )
    steps = to_files(files, "containerd's snapshotter on %s" % full(spec.pool)) + restart(found, wanted, "ok")
    return [check, Switch(tuple(steps), way_back(found, wanted, files), "give containerd the pool", "containerd")]


def understood(found, wanted, change):
    """What a change of config.toml gives. Raises Refused for an `imports` that is not understood."""
    try:
        return change()
    except ValueError as error:
        raise Refused(
            "%s imports other files, and %s: that line is not changed by this tool." % (found.config_path, error),
            'Write it on one line yourself, with our file: imports = [..., "%s"]' % wanted.config_file,
        ) from error


def check_last_word(spec, host):
    """Raise Refused when another file has given containerd another pool since, as of its next start."""
    found, pools = host.containerd, host.snapshotter_pools
    if pools and device_name(spec.pool) not in pools:
        raise Refused(
            "what %s imports beside %s gives containerd's devmapper snapshotter the pool %s, as of its next start."
            % (found.config_path, spec.containerd.config_file, ", ".join(pools)),
            "Take that section out; to see what containerd reads: {0} --config {1} config dump".format(
                paste(found.program), paste(found.config_path)
            ),
        )


def check_program(found):
    """Raise Refused unless it is known which configuration containerd reads, and containerd can read it."""
    if not found.program:
        raise Refused(
            "containerd.service starts containerd by a script, and it is down (%s): which configuration it reads is not known."
            % found.problem.rstrip("."),
            "Start it first: systemctl start containerd    # why it does not: journalctl -u containerd -n 30",
        )
    if found.other_config:
        raise Refused(
            "The running containerd was started with the configuration file %s, and containerd.service names %s by now."
            % (found.config_path, found.other_config),
            "Restart it with that file; containers keep running: systemctl daemon-reload; systemctl restart containerd",
        )
    if found.dump_problem:
        raise Refused(
            "containerd cannot read its own configuration: %s." % found.dump_problem.rstrip("."),
            "Correct it first; to see: {0} --config {1} config dump".format(paste(found.program), paste(found.config_path)),
        )


def check_same_containerd(spec, host):
    """Raise Refused when Docker is to use the snapshotter, and asks another containerd than the one that gets the pool."""
    found, docker = host.containerd, host.docker
    if not spec.docker or docker is None or not engines.is_image_store(spec.docker.engine, docker.version):
        return
    if found.docker_address and found.docker_address != found.address:
        raise Refused(
            "Docker asks containerd on %s, and containerd.service listens on %s: Docker's is another one, which would not get the "
            "pool." % (found.docker_address, found.address),
            "Give Docker this one: add `--containerd=%s` to its options (systemctl cat docker shows where they stand), then, "
            "which restarts it: systemctl daemon-reload; systemctl restart docker" % paste(found.address),
        )


def way_back(found, wanted, files):
    """(step, ...): the files as they were, in the other order: containerd does not start with an import that is not there."""
    steps = to_files([(path, text, now) for path, now, text in reversed(files)], "as before")
    return tuple(steps + restart(found, wanted, ""))


def to_files(files, why):
    """[step] for ((path, text now, text wanted), ...): only what differs; None is no file."""
    return [
        RemoveFile(path, "there was none") if text is None else WriteFile(path, text, why, None)
        for path, now, text in files
        if now != text
    ]


def restart(found, wanted, plugin):
    """[step]: containerd with the files as they are. plugin: the snapshotter's status to wait for, "" for any."""
    return [
        Command(("systemctl", "daemon-reload"), "let systemd read the drop-in"),
        forget_failures("containerd.service"),
        Command(("systemctl", "restart", "containerd.service"), "restart containerd; containers keep running", RESTART_TIMEOUT),
        WaitForContainerd(found.address, "wait until containerd has loaded its snapshotter", wanted.start_timeout, plugin),
    ]


def client(found):
    """containerd's client for this containerd, as an operator types it."""
    return "ctr" if found.address == ADDRESS else "ctr --address " + paste(found.address)


def check_ready(found, wanted):
    """Raise Refused unless containerd is there, answers, was built with the plugin, and no other file is in the way."""
    if not found.installed:
        raise Refused(
            "containerd is not installed as a service of its own (%s)." % found.problem,
            "Install it, Docker takes it when it is there: apt-get install containerd    # docker.com's package: containerd.io",
        )
    settled = found.own_text is not None
    if found.plugin is None and not settled:
        raise Refused(
            "containerd does not answer on %s: %s." % (found.address, found.problem.rstrip(".")),
            "Look at: systemctl status containerd; journalctl -u containerd -n 30",
        )
    if found.plugin == "absent":
        raise Refused(
            "this containerd was built without the devmapper snapshotter, or its configuration disables it.",
            "Look at: %s plugins ls | grep devmapper; grep disabled_plugins %s\n"
            "The packages of Debian and docker.com have it." % (client(found), paste(found.config_path)),
        )
    if found.elsewhere:
        path, pool = found.elsewhere[0]
        raise Refused(
            "%s gives containerd's devmapper snapshotter the pool %s; it has one pool, and %s would replace that section."
            % (path, pool, wanted.config_file),
            'If nobody needs it, take the section [plugins."io.containerd.snapshotter.v1.devmapper"] out of %s.' % path,
        )
    for path, text in ((wanted.config_file, found.own_text), (wanted.dropin, found.dropin_text)):
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
    found, pool = host.containerd, spec.pool
    device, name, root = device_name(pool), full(pool), spec.containerd.root_path
    lv, docker = host.lvm.thin_pool(pool), host.docker
    ours = device in found.databases
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
    others = [other for other in found.databases if other != device]
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
    found, wanted, device = host.containerd, spec.containerd, device_name(spec.pool)
    own, dropin = ((text or "").startswith(MANAGED) for text in (found.own_text, found.dropin_text))
    foreign, steps = found.own_text is not None and not own, []
    if not (own or dropin) or (own and device not in pool_names(found.own_text)):  # that is about another pool, which stays
        return []
    if found.snapshots is None and found.databases:
        raise Refused(
            "containerd does not tell what is on the pool (%s)." % (found.problem or "its snapshotter is not loaded"),
            "Restart it first: systemctl restart containerd; %s plugins ls | grep devmapper" % client(found),
        )
    if found.snapshots:
        names = sorted({namespace for namespace, _key in found.snapshots})
        if not spec.pool.remove_data:
            raise Refused(
                "containerd has %d snapshots on pool %s, of images or containers in namespace %s."
                % (len(found.snapshots), full(spec.pool), ", ".join(names)),
                "If nobody needs them: thin_pool_remove_data: true\nThey are lost then.",
            )
        steps.append(DropSnapshots(found.address, "remove %d snapshots of namespace %s" % (len(found.snapshots), ", ".join(names))))
    if found.installed:
        check_program(found)
    bare = understood(found, wanted, lambda: without_import(found.config_text, wanted.config_file, found.config_path))
    files = (
        (found.config_path, found.config_text, found.config_text if foreign else bare),
        (wanted.config_file, found.own_text, None if own else found.own_text),
        (wanted.dropin, found.dropin_text, None if dropin else found.dropin_text),
    )
    forth = tuple(to_files(files, "without the snapshotter") + restart(found, wanted, ""))
    away = Switch(forth, way_back(found, wanted, files), "take the pool away from containerd", "containerd")
    # The folder is the operator's choice, and may hold more than these.
    databases = ["%s.db" % device] + ([] if set(found.databases) - {device} else ["metadata.db"])
    why = "the snapshotter's metadata, which name nothing any more"
    return [*steps, away] + [RemoveFile("%s/%s" % (wanted.root_path, name), why) for name in databases]
