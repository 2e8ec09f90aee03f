"""Take programs out of a Debian package without installing it: installed, it would start a service.

    python3 lab/program.py PACKAGE FOLDER PATH...

PATH is a program in the package, which is copied into FOLDER; further ones may be patterns that match none. Libraries that the
machine lacks are installed.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from image import LabError, run

SUDO = ["sudo"] if os.geteuid() else []
PACKAGES = pathlib.Path(__file__).with_name("packages.sh")


def download(package, folder):
    """The package's file in an empty folder, of apt's lists as they are or, where that fails, of new ones."""
    fetch = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", package]  # apt's own user cannot write into the folder
    if subprocess.run(fetch, cwd=str(folder), check=False).returncode:
        run([*SUDO, "apt-get", "update", "-q"])
        run(fetch, cwd=folder)
    (deb,) = folder.glob("*.deb")
    return deb


def lacks_libraries(program):
    """Whether the program would not start on this machine."""
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}  # which has a word about static programs
    return "not found" in subprocess.run(["ldd", str(program)], check=False, **out).stdout


def libraries(deb):
    """The names of the libraries among what a package depends on."""
    depends = run(["dpkg-deb", "--field", deb, "Depends"], stdout=subprocess.PIPE, text=True).stdout
    return re.findall(r"\blib[a-z0-9.+-]+", re.sub(r"\([^)]*\)", "", depends))


def main(package, folder, *paths):
    """Copy the programs."""
    with tempfile.TemporaryDirectory() as work:
        deb, tree = download(package, pathlib.Path(work)), pathlib.Path(work) / "tree"
        run(["dpkg-deb", "--extract", deb, tree])
        programs = [program for path in paths for program in tree.glob(path)]
        if {program.name for program in programs}.isdisjoint({os.path.basename(paths[0])}):
            raise LabError("package %s has no %s" % (package, paths[0]))
        if any(lacks_libraries(program) for program in programs):
            run(["sh", PACKAGES, *libraries(deb)])
        for program in programs:
            shutil.copy(str(program), folder)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except LabError as error:
        sys.exit("lab: %s" % error)
