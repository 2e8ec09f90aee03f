"""Run a command with Vagrant set up for a guest of the lab, without root and on a loopback address only.

    python3 lab/box.py molecule test --scenario-name vagrant

The box is a layer on the image that lab/image.py builds. The guest runs below a libvirt of its own (qemu:///session), with KVM
where it works, else emulated. What a person's scenario does not say stands in $VAGRANT_HOME/Vagrantfile, which Vagrant reads
before the project's. Box, disks, sockets and $HOME lie in one folder. When the command ends, or this process dies or the one
that called it, all that it started is killed and the folder removed.
"""

import ctypes
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile

from accelerator import accelerator
from guest import COMMAND_LINE, free
from image import LabError, build, key, run

RELEASE = "bookworm"
NAME = "direct-lvm/" + RELEASE
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# What the box knows of itself. Vagrant asks a guest in some thirty round trips what it is when nobody tells.
BOX = """Vagrant.configure("2") do |config|
  config.vm.guest = :debian
  config.vm.synced_folder ".", "/vagrant", disabled: true
  config.ssh.username = "deploy"
  config.ssh.private_key_path = File.expand_path("key", __dir__)
  config.ssh.insert_key = false
  config.vm.provider :libvirt do |libvirt|
    libvirt.kernel = File.expand_path("vmlinux", __dir__)
    libvirt.initrd = File.expand_path("initrd", __dir__)
    libvirt.cmd_line = "{command_line}"
  end
end
"""
# vagrant-libvirt knows no user networking. So the network card is an argument of QEMU, far up on the bus, out of the way of
# libvirt's own devices; the guest's address is told instead of looked up; and the agent, without which a guest must have a network
# of libvirt's, is a channel to nowhere. The initrd finds the root disk by its serial number.
HOME = """require "vagrant-libvirt/driver"
VagrantPlugins::ProviderLibvirt::Driver.prepend(Module.new {{ def get_ipaddress(*) "{address}" end }})
Vagrant.configure("2") do |config|
  config.vm.boot_timeout = 900
  config.ssh.host = "{address}"
  config.ssh.port = 2222
  config.vm.provider :libvirt do |libvirt|
    libvirt.uri = libvirt.system_uri = "qemu:///session"
    libvirt.qemu_use_session = true
    libvirt.storage_pool_path = "{folder}/pool"
    libvirt.default_prefix = "m"
    libvirt.driver = "{driver}"
    libvirt.cpu_mode = "{cpu_mode}"
    {cpu_model}
    libvirt.disk_driver cache: "unsafe"
    libvirt.graphics_type = "none"
    libvirt.memballoon_enabled = false
    libvirt.mgmt_attach = false
    libvirt.qemu_use_agent = true
    libvirt.channel type: "null", target_name: "org.qemu.guest_agent.0", target_type: "virtio"
    %w[-global virtio-blk-device.serial=root
       -netdev user,id=n0,restrict=on,hostfwd=tcp:{address}:2222-:22
       -device virtio-net-pci,netdev=n0,addr=0x1e,romfile=].each {{ |word| libvirt.qemuargs value: word }}
  end
end
"""


def make_box(image, folder):
    """The box and its description (boxes without one have no version) in a folder; the description's path."""
    work = folder / "box"
    work.mkdir()
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", image / "root.img", "-F", "raw", work / "box.img"])
    for source, name in ((image / "vmlinux", "vmlinux"), (image / "initrd", "initrd"), (key(), "key")):
        shutil.copy(source, work / name)
    (work / "Vagrantfile").write_text(BOX.format(command_line=COMMAND_LINE))
    gigabytes = (image / "root.img").stat().st_size // 1024**3
    (work / "metadata.json").write_text(json.dumps({"provider": "libvirt", "format": "qcow2", "virtual_size": gigabytes}))
    run(["tar", "-C", work, "-cf", folder / "lab.box", *sorted(path.name for path in work.iterdir())])
    shutil.rmtree(work)
    provider = {"name": "libvirt", "url": "file://%s" % (folder / "lab.box")}
    description = folder / "lab.json"
    description.write_text(json.dumps({"name": NAME, "versions": [{"version": "1.0.0", "providers": [provider]}]}))
    return description


def home(image, folder):
    """The environment in which Vagrant finds all that it needs in the folder; writes $VAGRANT_HOME/Vagrantfile."""
    paths = {"HOME": "home", "VAGRANT_HOME": "vagrant", "VAGRANT_DOTFILE_PATH": "machines"}
    for name in ("RUNTIME_DIR", "CONFIG_HOME", "CACHE_HOME", "DATA_HOME", "STATE_HOME"):
        paths["XDG_" + name] = name.lower()
    for name in [*paths.values(), "pool"]:
        (folder / name).mkdir(mode=0o700)
    addresses = ["127.0.78.%d" % n for n in random.sample(range(1, 255), 254)]
    address = next(address for address in addresses if free(address, ()))
    kvm = "kvm" in accelerator(image)
    text = HOME.format(
        address=address,
        folder=folder,
        driver="kvm" if kvm else "qemu",
        cpu_mode="host-passthrough" if kvm else "custom",
        cpu_model="" if kvm else 'libvirt.cpu_model = "qemu64"',
    )
    (folder / "vagrant/Vagrantfile").write_text(text)
    own = {"VAGRANT_DEFAULT_PROVIDER": "libvirt", "VAGRANT_CHECKPOINT_DISABLE": "1", "DIRECT_LVM_BOX": NAME}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VAGRANT_", "DIRECT_LVM_DISK"))}
    return {**kept, **own, **{name: str(folder / path) for name, path in paths.items()}}


def unprivileged():
    """Words before a command. For root libvirt has no session: another user then, in a namespace where he owns what root owns."""
    if not shutil.which("vagrant"):
        raise LabError("vagrant is not installed. Run: make setup-vagrant")
    if os.geteuid():
        return []
    words = ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--"]
    if subprocess.run([*words, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        raise LabError("libvirt has no session for root, and no user namespace can be made here. Run it as a user who is not root")
    return words


def supervise(argv):
    """Carry the command out and clean up after it, or when SIGTERM comes; the command's exit code."""
    image, words = build(RELEASE), unprivileged()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dlvm-", dir="/var/tmp"))  # short: below it are sockets
    try:
        environment = home(image, folder)
        description = make_box(image, folder)
        run([*words, "vagrant", "box", "add", "--no-tty", description], env=environment, stdin=subprocess.DEVNULL)
        command = subprocess.Popen([*words, *argv], env=environment, stdin=subprocess.DEVNULL)
        while True:  # orphans are waited for as well: libvirt wants to see that a QEMU is gone
            pid, status = os.wait()
            if pid == command.pid:
                return os.waitstatus_to_exitcode(status)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        end_all()
        shutil.rmtree(folder, ignore_errors=True)


def end_all():
    """Kill what was started and is left. Its orphans are this process's children, as PR_SET_CHILD_SUBREAPER has it."""
    while True:
        for pid in pathlib.Path("/proc/self/task/%d/children" % os.getpid()).read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def terminate(*_):
    """End once; more of SIGTERM must not disturb the cleaning up."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def main(argv):
    """The command line. A child in a session of its own does the work; it outlives this process by the time to clean up."""
    if not argv:
        sys.exit("usage: python3 lab/box.py COMMAND...")
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    parent = os.getpid()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.setsid()
    signal.signal(signal.SIGTERM, terminate)
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    return supervise(argv) if os.getppid() == parent else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as error:
        sys.exit("lab: %s" % error)
    except KeyboardInterrupt:
        sys.exit(130)
