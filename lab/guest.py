"""A throw-away virtual machine with real LVM, device-mapper, systemd and Docker; lab.py has the command line.

Guests listen on loopback addresses only. KVM is used where it works, which is found out by trying.
"""

import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

from accelerator import accelerator
from image import CACHE, LabError, build, image_folder, key, locked

GUESTS = CACHE / "guests"
COMMAND_LINE = (
    "root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet mitigations=off no5lvl nokaslr audit=0 cryptomgr.notests "
    "random.trust_cpu=on systemd.show_status=0"
)
BOOT_TIMEOUT = 600  # an emulated guest on a busy machine


class Guest:
    """One virtual machine by name. Its folder below the cache holds its disks, console and addresses."""

    def __init__(self, name):
        if not name.replace("-", "").isalnum():
            raise LabError("a guest's name is made of letters, digits and hyphens: %r" % name)
        self.name = name
        self.folder = GUESTS / name

    # --- what there is ---------------------------------------------------------------------------------

    @property
    def config(self):
        """{release, disks, memory, cpus, address}; LabError when there is no such guest."""
        try:
            return json.loads((self.folder / "config.json").read_text())
        except FileNotFoundError:
            raise LabError("no guest named %s. Run: python3 lab/lab.py up %s" % (self.name, self.name)) from None

    def pid(self):
        """QEMU's process id while it runs, else None."""
        try:
            pid = int((self.folder / "pid").read_text())
            command = pathlib.Path("/proc/%d/cmdline" % pid).read_bytes()
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return pid if str(self.folder).encode() in command else None

    # --- life ------------------------------------------------------------------------------------------

    def up(self, release="bookworm", disks=("30G",), memory=1024, cpus=2, owner=None):
        """Boot the guest, or do nothing when it is up. owner: a process id; when it ends, the guest goes with it."""
        if self.pid() and self.answers():
            return self
        image = build(release)
        self.watch(owner)
        if not self.folder.exists():
            self.create(image, release, disks, memory, cpus)
        self.start()
        self.wait()
        return self

    def create(self, image, release, disks, memory, cpus):
        """The folder with overlay and blank disks, and a loopback address that no other guest has."""
        with locked("guests"):
            self.folder.mkdir(parents=True)
            taken = {json.loads(path.read_text())["address"] for path in GUESTS.glob("*/config.json")}
            address = next("127.0.77.%d" % n for n in range(1, 255) if free("127.0.77.%d" % n, taken))
            config = {"release": release, "disks": list(disks), "memory": memory, "cpus": cpus, "address": address}
            (self.folder / "config.json").write_text(json.dumps(config))
        qemu_img("create", "-q", "-f", "qcow2", "-b", image / "root.img", "-F", "raw", self.folder / "root.qcow2")
        for number, size in enumerate(disks):
            qemu_img("create", "-q", "-f", "qcow2", self.folder / ("data%d.qcow2" % number), size)

    def start(self, tag=None):
        """Start QEMU, from a snapshot when a tag is given."""
        config, image, folder = self.config, image_folder(self.config["release"]), self.folder
        self.forget_connection()
        argv = ["qemu-system-x86_64", "-name", self.name, "-nodefaults", "-vga", "none", "-display", "none"]
        argv += ["-machine", "q35", "-smp", config["cpus"], "-m", config["memory"], *accelerator(image)]
        argv += ["-kernel", image / "vmlinux", "-initrd", image / "initrd", "-append", COMMAND_LINE, "-rtc", "base=utc"]
        # writeback keeps the guest's flushes: what it synced survives a power cut, and only that.
        for number, disk in enumerate(["root"] + ["data%d" % n for n in range(len(config["disks"]))]):
            argv += ["-drive", "file=%s.qcow2,if=none,id=d%d,cache=writeback,discard=unmap" % (folder / disk, number)]
            argv += ["-device", "virtio-blk-pci,drive=d%d,serial=%s" % (number, disk)]
        argv += ["-netdev", "user,id=n0,restrict=on,hostfwd=tcp:%s:2222-:22" % config["address"]]
        argv += ["-device", "virtio-net-pci,netdev=n0,romfile=", "-serial", "file:%s" % (folder / "console")]
        argv += ["-qmp", "unix:%s,server=on,wait=off" % (folder / "qmp"), "-pidfile", folder / "pid"]
        if tag:
            argv += ["-loadvm", tag]
        with (folder / "qemu.log").open("w") as log:
            subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 20
        while not self.pid():
            if time.monotonic() > deadline:
                raise LabError("QEMU did not start: %s" % (folder / "qemu.log").read_text().strip())
            time.sleep(0.02)

    def wait(self):
        """Until ssh works, saying every 10 seconds that it is still waiting."""
        started = told = time.monotonic()
        while not self.answers():
            if not self.pid():
                raise LabError("QEMU ended: %s" % (self.folder / "qemu.log").read_text().strip())
            now = time.monotonic()
            if now - started > BOOT_TIMEOUT:
                raise LabError("%s did not boot within %d s; see %s" % (self.name, BOOT_TIMEOUT, self.folder / "console"))
            if now - told > 10:
                told = now
                print("guest %s: waiting for ssh since %d s ..." % (self.name, now - started), file=sys.stderr, flush=True)
            time.sleep(0.2)
        (self.folder / "ready").touch()

    def answers(self):
        """Whether a command runs over ssh. Asks for sshd's banner first: QEMU accepts connections before it is there."""
        try:
            with socket.create_connection((self.config["address"], 2222), timeout=5) as connection:
                connection.settimeout(5)
                if connection.recv(4) != b"SSH-":
                    return False
        except OSError:
            return False
        return self.ssh("true", check=False, timeout=60).returncode == 0

    def watch(self, owner):
        """A process that takes the guest down when `owner` ends, or when this process ends before the guest is ready."""
        arguments = [self.name, str(os.getpid()), str(owner or 0)]
        subprocess.Popen(
            [sys.executable, str(pathlib.Path(__file__).with_name("lab.py")), "_watch", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def reboot(self):
        """Reboot the guest in an orderly way, and wait until it is up again."""
        boot = self.ssh("cat /proc/sys/kernel/random/boot_id").stdout
        self.ssh("systemctl reboot", check=False, timeout=60)
        self.forget_connection()
        while self.ssh("cat /proc/sys/kernel/random/boot_id", check=False, timeout=60).stdout in ("", boot):
            self.forget_connection()
            self.wait()
            time.sleep(1)

    def power_cut(self):
        """Kill QEMU: what the guest had not flushed is lost."""
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGKILL)
            wait_for_end(pid)  # not before that are its locks free
        self.forget_connection()

    def down(self):
        """Stop the guest and remove everything of it."""
        self.power_cut()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- snapshots -------------------------------------------------------------------------------------

    def snapshot(self, tag):
        """Keep memory and disks of the running guest under a tag."""
        self.ssh("sync")
        self.forget_connection()
        self.monitor("savevm " + tag)

    def restore(self, tag):
        """Go back to a snapshot; also after a power cut. The guest's clock is set to now."""
        if self.pid():
            self.forget_connection()
            self.monitor("loadvm " + tag)
        else:
            self.start(tag)
        self.wait()
        self.ssh("date -s @%d" % time.time())

    def monitor(self, command):
        """A command of QEMU's human monitor, through QMP. LabError when it answers anything."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(120)
            connection.connect(str(self.folder / "qmp"))
            stream = connection.makefile("rw")
            stream.readline()
            for execute, arguments in (("qmp_capabilities", {}), ("human-monitor-command", {"command-line": command})):
                stream.write(json.dumps({"execute": execute, "arguments": arguments}) + "\n")
                stream.flush()
                answer = json.loads(stream.readline())
                while "event" in answer:
                    answer = json.loads(stream.readline())
            if answer.get("return"):
                raise LabError("QEMU: %s: %s" % (command, answer["return"].strip()))
            if "error" in answer:
                raise LabError("QEMU: %s: %s" % (command, answer["error"]["desc"]))

    # --- ssh -------------------------------------------------------------------------------------------

    def ssh_options(self):
        """ssh's options for this guest; one connection is shared by all calls."""
        return [
            *("-F", "none", "-i", str(key()), "-p", "2222", "-o", "StrictHostKeyChecking=no"),
            *("-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10"),
            *("-o", "ControlMaster=auto", "-o", "ControlPersist=300", "-o", "ControlPath=%s" % (self.folder / "ssh")),
        ]

    def ssh(self, command, stdin=None, timeout=600, check=True, user="root"):
        """Run a shell command in the guest; a CompletedProcess with text. LabError when check is on and it fails."""
        argv = ["ssh", *self.ssh_options(), "%s@%s" % (user, self.config["address"]), command]
        given = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, errors="replace", **given)
        except subprocess.TimeoutExpired:
            if check:
                raise LabError("in guest %s, `%s` did not finish within %d s" % (self.name, command, timeout)) from None
            return subprocess.CompletedProcess(argv, 124, "", "timeout")
        if check and done.returncode:
            raise LabError(
                "in guest %s, `%s` failed with return code %d: %s" % (self.name, command, done.returncode, done.stderr.strip())
            )
        return done

    def put(self, source, target):
        """Copy a file or folder into the guest as target (a folder's content goes below it)."""
        source = pathlib.Path(source)
        base, names = (source, ["."]) if source.is_dir() else (source.parent, [source.name])
        tar = subprocess.run(["tar", "-C", str(base), "-cf", "-", *names], stdout=subprocess.PIPE, check=True).stdout
        unpack = "mkdir -p {0} && tar -C {0} -xf -" if source.is_dir() else "tar -xOf - > {0}"
        argv = ["ssh", *self.ssh_options(), "root@" + self.config["address"], unpack.format(target)]
        subprocess.run(argv, input=tar, check=True)

    def forget_connection(self):
        """End the shared connection, which does not survive a restore."""
        if (self.folder / "ssh").exists():
            argv = ["ssh", *self.ssh_options(), "-O", "exit", self.config["address"]]
            subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            (self.folder / "ssh").unlink(missing_ok=True)

    def variables(self, user="root"):
        """The guest's Ansible connection variables."""
        return {
            "ansible_host": self.config["address"],
            "ansible_port": 2222,
            "ansible_user": user,
            "ansible_ssh_private_key_file": str(key()),
            "ansible_ssh_common_args": "-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
            "ansible_python_interpreter": "/usr/bin/python3",
        }


def free(address, taken):
    """Whether nobody listens on an address and no guest has it."""
    if address in taken:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, 2222))
        except OSError:
            return False
    return True


def qemu_img(*arguments):
    """qemu-img with a missing tool told."""
    try:
        subprocess.run(["qemu-img", *map(str, arguments)], check=True)
    except FileNotFoundError:
        raise LabError("qemu-img is not installed. Run: make setup-packages") from None


def watch(name, starter, owner):
    """See Guest.watch: wait for the starter's end, then for the owner's, and take the guest down when it is due."""
    guest = Guest(name)
    wait_for_end(starter)
    if (guest.folder / "ready").exists() and not owner:
        return
    if owner:
        wait_for_end(owner)
    guest.down()


def wait_for_end(pid):
    """Return once a process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([descriptor], [], [])


def everyone():
    """All guests that there are."""
    return [Guest(path.name) for path in sorted(GUESTS.glob("*")) if path.is_dir()]
