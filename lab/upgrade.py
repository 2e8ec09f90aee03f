"""Packages of a newer Debian release for a guest of an older one, with all that they need there, for a guest without a network."""

import hashlib
import pathlib
import shutil

from image import CACHE, install, locked, recipe, run


def debs(release, target, names):
    """The folder with the .deb files that `apt-get install` of these names from target would fetch on a guest of release.

    Made once in the cache, in a tree with the guest's own packages; needs root. Says what it does: a minute or two.
    """
    made = hashlib.sha256(pathlib.Path(__file__).read_bytes() + recipe(release).encode() + " ".join([target, *names]).encode())
    folder = CACHE / "debs" / ("%s-%s-%s" % (release, target, made.hexdigest()[:12]))
    with locked("debs"):
        if folder.exists():
            return folder
        print("packages %s -> %s: %s ..." % (release, target, " ".join(names)), flush=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob("%s-%s-*" % (release, target)):
            shutil.rmtree(left)
        work = folder.with_name(folder.name + ".part")
        work.mkdir()
        try:
            install(work, release)
            root = work / "root"
            sources = next(line for line in (root / "etc/apt/sources.list").read_text().splitlines() if " %s " % release in line)
            (root / "etc/apt/sources.list.d/target.list").write_text(sources.replace(" %s " % release, " %s " % target) + "\n")
            shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
            run(["chroot", root, "apt-get", "-q", "update"])
            run(["chroot", root, "apt-get", "-q", "-y", "--download-only", "--no-install-recommends", "install", *names])
            shutil.copytree(root / "var/cache/apt/archives", work / "debs", ignore=shutil.ignore_patterns("lock", "partial"))
            (work / "debs").rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder
