"""KVM where a kernel really boots with it, else software emulation: tried, for /dev/kvm proves nothing."""

import os
import pathlib
import select
import subprocess
import sys
import time

from image import CACHE

KVM_TIMEOUT = 20


def accelerator(image):
    """QEMU's options for KVM where a kernel really boots with it, else for emulation. Tried once per boot of this host."""
    emulation = ["-accel", "tcg,thread=multi", "-cpu", "max"]
    kvm = ["-accel", "kvm", "-cpu", "host"]
    asked = os.environ.get("DIRECT_LVM_ACCEL")
    if asked:
        return {"kvm": kvm, "tcg": emulation}[asked]
    verdict = CACHE / ("kvm-" + pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    if not verdict.exists():
        works = os.access("/dev/kvm", os.R_OK | os.W_OK) and boots(image, kvm)
        for old in CACHE.glob("kvm-*"):
            old.unlink()
        verdict.write_text("yes" if works else "no")
        print(
            "lab: KVM %s" % ("works" if works else "does not work here, guests are emulated"),
            file=sys.stderr,
            flush=True,
        )
    return kvm if verdict.read_text() == "yes" else emulation


def boots(image, options):
    """Whether a kernel started with these options says something on its console within KVM_TIMEOUT seconds."""
    argv = [
        "qemu-system-x86_64",
        "-nodefaults",
        "-vga",
        "none",
        "-display",
        "none",
        "-machine",
        "q35",
        "-m",
        "512",
        *options,
    ]
    argv += ["-kernel", str(image / "vmlinux"), "-append", "console=ttyS0 panic=-1", "-no-reboot", "-serial", "stdio"]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    seen, deadline = b"", time.monotonic() + KVM_TIMEOUT
    try:
        while b"Linux version" not in seen and time.monotonic() < deadline:
            if select.select([process.stdout], [], [], 0.5)[0]:
                part = os.read(process.stdout.fileno(), 4096)
                if not part:
                    break
                seen += part
    finally:
        process.kill()
        process.wait()
    return b"Linux version" in seen
