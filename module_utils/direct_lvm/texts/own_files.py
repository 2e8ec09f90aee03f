# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files that this tool writes, rendered from the desired state. Pure.

Each begins with names.MANAGED, which identifies it to later runs. Older versions wrote the same settings.
"""

import json

from ..model.names import MANAGED, device_name, full

PLUGIN_TYPE, PLUGIN = "io.containerd.snapshotter.v1", "devmapper"
VARIABLE = "DIRECT_LVM_CONFIGURATION"  # in containerd's environment: what its configuration file was when it started
# At boot nothing else has a daemon wait for LVM.
ACTIVATE = "ExecStartPre=/sbin/lvm lvchange --activate y %s\n"
# What the image store needs in daemon.json; the driver is the snapshotter's name there (docs.docker.com/engine/storage/containerd).
IMAGE_STORE = {"features": {"containerd-snapshotter": True}, "storage-driver": "devmapper"}


def profile(pool):
    """The LVM profile of a Pool (lvm.conf(5), activation/thin_pool_autoextend_threshold). Several pools may share it."""
    threshold, percent = pool.autoextend_threshold, pool.autoextend_percent
    return (
        "%s\n# From %d %% on, grow by %d %% of the pool's current size.\nactivation {\n"
        "\tthin_pool_autoextend_threshold=%d\n\tthin_pool_autoextend_percent=%d\n}\n"
    ) % (MANAGED, threshold, percent, threshold, percent)


def driver_options(pool, docker):
    """[NAME=VALUE] of Docker's graph driver on a Pool. docker: DockerStorage."""
    own = ["dm.thinpooldev=/dev/mapper/" + device_name(pool), "dm.use_deferred_removal=true"]
    return own + ["%s=%s" % option for option in docker.options]


def docker_flags(pool, docker):
    """What dockerd's command line gets behind its own words, as a unit file has it; "" when daemon.json has the settings."""
    if docker.config != "dropin":
        return ""
    words = ["--storage-driver=devicemapper"]
    for option in driver_options(pool, docker):
        words += ["--storage-opt", option.replace("%", "%%")]  # systemd.unit(5), SPECIFIERS
    return " ".join(words)


def docker_settings(pool, docker):
    """The keys of daemon.json for Docker's graph driver, {} when its command line has the settings."""
    if docker.config != "daemon_json":
        return {}
    return {"storage-driver": "devicemapper", "storage-opts": driver_options(pool, docker)}


def docker_dropin(pool, docker, command):
    """The drop-in of docker.service. command: the installed unit's own command line, as its file has it."""
    text = "%s\n# Docker's storage on thin pool %s.\n[Service]\n" % (MANAGED, full(pool))
    flags = docker_flags(pool, docker)
    if flags:
        text += "# The command is the installed unit's own, with our options behind it.\nExecStart=\n"
        text += "ExecStart=%s %s\n" % (command, flags)
    return text + "# At boot nothing else has Docker wait for LVM.\n" + ACTIVATE % full(pool)


def containerd_config(pool, containerd, version):
    """The file that config.toml imports. version: config.toml's; version 1 has short plugin names."""
    lines = [
        MANAGED,
        "# containerd's devmapper snapshotter on thin pool %s; config.toml imports this file." % full(pool),
        "version = %d" % version,
        "[plugins.%s]" % (PLUGIN if version == 1 else '"%s.%s"' % (PLUGIN_TYPE, PLUGIN)),
    ]
    settings = [
        ("pool_name", device_name(pool)),
        ("root_path", containerd.root_path),
        ("base_image_size", containerd.base_image_size.text),
        ("discard_blocks", containerd.discard_blocks),
        ("async_remove", containerd.async_remove),
        ("fs_type", containerd.fs_type),
    ]
    if containerd.fs_options:
        settings.append(("fs_options", containerd.fs_options))
    # A TOML string escapes what a JSON string does.
    return "\n".join(lines + ["  %s = %s" % (name, json.dumps(value, ensure_ascii=False)) for name, value in settings]) + "\n"


def containerd_dropin(pool, containerd, checksum):
    """The drop-in of containerd.service. checksum: of the text of containerd_config()."""
    return (
        "%s\n# containerd's devmapper snapshotter on thin pool %s.\n[Service]\n"
        "# At boot nothing else has containerd wait for LVM; a snapshotter whose pool is not there is not loaded later either.\n"
    ) % (MANAGED, full(pool)) + (
        "%s# Changes with %s, so that a containerd that has not read it yet is known.\nEnvironment=%s=%s\n"
    ) % (ACTIVATE % full(pool), containerd.config_file, VARIABLE, checksum)
