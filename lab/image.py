"""Build the guest image of a Debian release: mmdebstrap, trimmed, with a small initrd and an uncompressed kernel.

The image is made once per release and recipe and kept in the cache; guests work on overlays of it.
"""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

CACHE = pathlib.Path(
    os.environ.get("DIRECT_LVM_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "direct-lvm"
)
RELEASES = ("bullseye", "bookworm", "trixie", "forky")
PACKAGES = [
    "systemd-sysv",
    "udev",
    "dbus",
    "openssh-server",
    "sudo",
    "python3",
    "python3-apt",
    "lvm2",
    "thin-provisioning-tools",
    "dmeventd",
    "docker.io",
    "apparmor",
    "iptables",
    "xfsprogs",
    "e2fsprogs",
    "btrfs-progs",
    "dosfstools",
    "ntfs-3g",
    "xorriso",
    "squashfs-tools",
    "cryptsetup-bin",
    "mdadm",
    "bcache-tools",
    "gdisk",
    "fdisk",
    "parted",
    "strace",
    "iproute2",
    "kmod",
    "procps",
    "busybox-static",
    "ca-certificates",
    "linux-image-cloud-amd64",
]
# Units that only cost time in a guest that lives for minutes. Nothing of LVM, Docker or containerd is among them.
MASKED = [
    "systemd-networkd-wait-online.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "man-db.timer",
    "dpkg-db-backup.timer",
    "getty@tty1.service",
    "serial-getty@ttyS0.service",
    "systemd-pstore.service",
    "systemd-binfmt.service",
    "proc-sys-fs-binfmt_misc.automount",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-fs-fuse-connections.mount",
    "systemd-hwdb-update.service",
    "systemd-machine-id-commit.service",
    "systemd-firstboot.service",
    "ldconfig.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "systemd-pcrphase.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-boot-update.service",
    "systemd-network-generator.service",
    "logrotate.timer",
    "systemd-tmpfiles-clean.timer",
    "mdadm.service",
    "mdmonitor.service",
    "mdcheck_start.timer",
    "mdcheck_continue.timer",
    "mdmonitor-oneshot.timer",
    "mdadm-shutdown.service",
]
INITRD_MODULES = [
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_mmio",
    "virtio_blk",
    "crc16",
    "mbcache",
    "jbd2",
    "crc32c_generic",
    "ext4",
]
INIT = r"""#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev; $b mount -t sysfs sys /sys
for m in /m/*.ko; do $b insmod $m 2>/dev/null; done
n=0; d=
while [ -z "$d" ] && [ $n -lt 600 ]; do
  for s in /sys/block/vd*; do [ "$($b cat $s/serial 2>/dev/null)" = root ] && d=${s##*/}; done
  $b usleep 50000; n=$((n+1))
done
$b mount -t ext4 -o rw,noatime /dev/$d /root || exec $b sh
$b mount -o move /dev /root/dev; $b umount /sys
exec $b switch_root /root /sbin/init
"""
NETWORK = "[Match]\nName=e*\n[Network]\nDHCP=yes\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n[DHCPv4]\nClientIdentifier=mac\n"
KERNEL_MAGICS = (
    (b"\x02\x21\x4c\x18", ["lz4", "-dc"]),
    (b"\x28\xb5\x2f\xfd", ["zstd", "-dc"]),
    (b"\xfd7zXZ\0", ["xz", "-dc"]),
)


class LabError(Exception):
    """Something that the operator can do something about; the text says what."""


def recipe(release):
    """A hash of everything that decides what an image looks like."""
    return hashlib.sha256(pathlib.Path(__file__).read_bytes() + release.encode()).hexdigest()[:12]


def image_folder(release):
    """Where the image of a release is, or will be."""
    return CACHE / "images" / ("%s-%s" % (release, recipe(release)))


def key():
    """The guests' ssh key, made on first use; the private key's path."""
    path = CACHE / "key"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "direct-lvm", "-f", str(path)])
    return path


def run(argv, **options):
    """subprocess.run with a missing tool or a failure told as a LabError."""
    try:
        return subprocess.run([str(word) for word in argv], check=True, **options)
    except FileNotFoundError:
        raise LabError("%s is not installed. Run: make setup-packages" % argv[0]) from None
    except subprocess.CalledProcessError as error:
        raise LabError("`%s` failed with return code %d" % (" ".join(map(str, argv)), error.returncode)) from None


@contextlib.contextmanager
def locked(name):
    """Hold a lock in the cache; the kernel frees it when the process dies."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / (name + ".lock")).open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def build(release):
    """The folder of the release's image, built when it is not in the cache. Says what it does and how far it is."""
    if release not in RELEASES:
        raise LabError("no such release: %s (there are %s)" % (release, ", ".join(RELEASES)))
    folder = image_folder(release)
    if (folder / "root.img").exists():
        return folder
    with locked("build"):
        if (folder / "root.img").exists():
            return folder
        if os.geteuid() != 0:
            raise LabError("building an image needs root. Run: sudo -E python3 lab/lab.py build --release " + release)
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob("%s-*" % release):
            shutil.rmtree(left)  # another recipe's image, or a build that was killed
        work = folder.with_name(folder.name + ".part")
        work.mkdir()
        try:
            steps = (
                ("install Debian %s into a folder (a minute or two)" % release, install),
                ("trim it", trim),
                ("make kernel and initrd", boot_files),
                ("make the file system image", file_system),
            )
            for number, (what, step) in enumerate(steps, 1):
                started = time.monotonic()
                print("image %s: %d/%d %s ..." % (release, number, len(steps), what), flush=True)
                step(work, release)
                print(
                    "image %s: %d/%d done in %d s" % (release, number, len(steps), time.monotonic() - started),
                    flush=True,
                )
            work.rename(folder)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        give_to_user(CACHE)
    return folder


def give_to_user(folder):
    """Under sudo, hand what was made to the user who asked for it."""
    user, group = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if user and group:
        run(["chown", "-R", "%s:%s" % (user, group), folder])


def install(work, release):
    """A Debian tree in work/root."""
    packages = list(PACKAGES)
    if release in ("trixie", "forky"):
        packages.append("docker-cli")
    # bullseye's security suite has no installable kernel any more; its main suite has.
    hooks = ["--setup-hook=sed -i /security/d $1/etc/apt/sources.list"] if release == "bullseye" else []
    if release == "forky":  # testing's lists are valid for a week, and a mirror may be older; its signatures still count
        hooks = ["--aptopt=Acquire::Check-Valid-Until false"]
    run(
        ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--include=" + ",".join(packages)]
        + ["--dpkgopt=path-exclude=/usr/share/%s/*" % part for part in ("doc", "man", "locale")]
        + ["--aptopt=Acquire::Languages none", *hooks, release, work / "root"],
        stdin=subprocess.DEVNULL,
        env=dict(os.environ, LC_ALL="C"),
    )


def trim(work, _release):
    """Users, keys, network, a fixed machine id, and no unit that only costs time."""
    root = work / "root"
    (root / "etc/hostname").write_text("guest\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost guest\n::1 localhost\n")
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (root / "etc/fstab").write_text("")
    network = root / "etc/systemd/network/10-dhcp.network"
    network.parent.mkdir(parents=True, exist_ok=True)
    network.write_text(NETWORK)
    run(["chroot", root, "useradd", "-m", "-s", "/bin/bash", "deploy"])
    run(["chroot", root, "passwd", "-q", "-d", "root"])
    sudoers = root / "etc/sudoers.d/deploy"
    sudoers.write_text("deploy ALL=(ALL) NOPASSWD:ALL\n")
    sudoers.chmod(0o440)
    public = key().with_suffix(".pub").read_text()
    for home in (root / "root", root / "home/deploy"):
        (home / ".ssh").mkdir(mode=0o700, exist_ok=True)
        (home / ".ssh/authorized_keys").write_text(public)
    run(["chroot", root, "chown", "-R", "deploy:", "/home/deploy"])
    (root / "etc/ssh/sshd_config.d/lab.conf").write_text("UseDNS no\nGSSAPIAuthentication no\nPermitRootLogin prohibit-password\n")
    run(["chroot", root, "systemctl", "enable", "-q", "systemd-networkd", "ssh"])
    for unit in MASKED:
        target = root / "etc/systemd/system" / unit
        target.unlink(missing_ok=True)
        target.symlink_to("/dev/null")
    container = work / "container/bin"
    container.mkdir(parents=True)
    shutil.copy(root / "bin/busybox", container / "busybox")
    for name in ("sh", "dd", "sync", "sleep", "cat", "echo", "true", "ls", "rm", "sha256sum", "df"):
        (container / name).symlink_to("busybox")
    run(["tar", "-C", work / "container", "-cf", root / "usr/local/share/busybox.tar", "bin"])
    shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)


def boot_files(work, _release):
    """work/vmlinux (uncompressed where the format is known: the emulated CPU is slow at that) and work/initrd."""
    kernel = next((work / "root/boot").glob("vmlinuz-*"))
    (work / "vmlinux").write_bytes(decompressed(kernel.read_bytes()))
    tree = work / "initrd.d"
    for folder in ("bin", "dev", "proc", "sys", "root", "m"):
        (tree / folder).mkdir(parents=True)
    shutil.copy(work / "root/bin/busybox", tree / "bin/busybox")
    modules = next((work / "root/lib/modules").iterdir())
    for number, name in enumerate(INITRD_MODULES):
        for found in sorted(modules.rglob(name + ".ko*")):
            target = tree / "m" / ("%02d-%s.ko" % (number, name))
            if found.suffix == ".xz":
                target.write_bytes(run(["xz", "-dc", found], stdout=subprocess.PIPE).stdout)
            else:
                shutil.copy(found, target)
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    with (work / "initrd").open("wb") as stream:
        names = subprocess.run(["find", "."], cwd=tree, stdout=subprocess.PIPE, check=True).stdout
        run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=tree, input=names, stdout=stream)


def decompressed(kernel):
    """The ELF inside a bzImage, or the bzImage itself when its compression is not known."""
    for magic, argv in KERNEL_MAGICS:
        start = kernel.find(magic)
        if start > 0 and shutil.which(argv[0]):
            out = subprocess.run(argv, input=kernel[start:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
            if out.startswith(b"\x7fELF"):
                return out
    return kernel


def file_system(work, _release):
    """work/root.img, sparse, without mounting anything."""
    part = work / "root.img.part"
    options = ["-L", "root", "-E", "lazy_itable_init=1,nodiscard", "-O", "^metadata_csum_seed,^orphan_file"]
    run(["mke2fs", "-q", "-t", "ext4", "-F", *options, "-d", work / "root", part, "8G"])
    for folder in ("root", "initrd.d", "container"):
        shutil.rmtree(work / folder)
    part.rename(work / "root.img")


if __name__ == "__main__":
    try:
        print(build(sys.argv[1] if len(sys.argv) > 1 else "bookworm"))
    except LabError as error:
        sys.exit(str(error))
