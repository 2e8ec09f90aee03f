# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carry Docker's images from one storage driver to another: save each to an archive of its own, load it again.

An archive that has its final name is whole: it was verified, and is on disk, before it got that name.
What is asked of Docker is asked of the daemon on one unix socket (host), never of DOCKER_HOST or a context.

Everything here raises Refused, CommandFailed or OSError, each with a sentence for the operator.
"""

import os
import re
from typing import List, NamedTuple, Optional, Tuple

from ..host import commands, files
from ..model.archives import SHORT, needed_bytes
from ..model.errors import Changed, CommandFailed, Refused
from ..model.host import Container, Image
from ..model.quoting import paste, pasted
from ..texts import strict_json
from ..texts.docker_inspect import ID, objects, parse_image, the_one
from . import archive_folder, image_archive

BATCH = 200  # IDs on one command line: 71 characters each
SUFFIX = re.compile(r"\Asha256-([0-9a-f]{64})\.tar\Z")
ARGUMENTS = {  # of the module direct_lvm_images
    "dir": {"type": "path", "default": archive_folder.DEFAULT},
    "image": {"type": "str"},
    "container": {"type": "str"},
    "state": {"type": "str", "choices": ["saved", "verified", "loaded"], "default": "saved"},
    "commit": {"type": "bool", "default": False},
    "keep": {"type": "bool", "default": True},
    "command_timeout": {"type": "int", "default": 3600},
    "lock_timeout": {"type": "int", "default": 600},
}
# What `docker load` says of a name that it takes from another image (moby, image/tarexport/load.go, setLoadedTag).
RENAMED = re.compile(r"^The image (\S+) already exists, renaming the old one with ID (sha256:[0-9a-f]{64}) to empty", re.M)
LEFT = """The storage that Docker left still has it. Go back there: ansible-playbook playbooks/rollback.yml
(after a rollback: playbooks/site.yml). From there the next run archives it anew."""


# --- what Docker holds -----------------------------------------------------------------------------------------


def docker(host, *words):
    """The argv of Docker's client for the daemon on this socket. `--host` stands before any verb since Docker 1.0."""
    return ["docker", "--host", host] + list(words)


def list_images(host):
    """The images that `docker images` shows, as a tuple of Image in its order: tagged ones, and dangling ones with no child.

    Intermediate layers of a build (`--all`) are a cache, and no archive can carry them. A reference by digest is no tag.
    Size is what Docker counts: the files of all layers, shared ones too.
    """
    return tuple(map(parse_image, described(host)))


def image_ids(host, timeout=None):
    """The IDs of all images, those too that others were built on, as a set. timeout in seconds, None for the common bound."""
    return set(commands.run(docker(host, "images", "--all", "--quiet", "--no-trunc"), timeout=timeout).out.split())


def described(host):
    """What `docker inspect` says of each image that `docker images` shows, in its order."""
    shown = commands.run(docker(host, "images", "--no-trunc", "--quiet")).out.split()
    ids = sorted(set(shown), key=shown.index)
    by_id = {}
    for start in range(0, len(ids), BATCH):
        argv = docker(host, "inspect", "--type", "image", *ids[start : start + BATCH])
        by_id.update((fields["Id"], fields) for fields in objects(argv, inspected(argv)))
    return [by_id[each] for each in ids if each in by_id]


def inspected(argv):
    """The JSON value of a `docker inspect` of several objects. One that is gone meanwhile is left out: Docker prints the others."""
    result = commands.run(argv, ok=None)
    if result.rc != 0 and not is_missing(result.err):
        raise CommandFailed(argv, "failed with return code %d" % result.rc, result.err)
    try:
        return strict_json.loads(result.out)
    except ValueError as error:
        raise CommandFailed(argv, "printed what is not JSON (%s)" % error, result.out[:200]) from error


def is_missing(answer):
    """Whether Docker says that it has no such thing. "no such file or directory" is about its socket: nobody has answered."""
    return re.search("no such (image|container|object)", answer, re.IGNORECASE) is not None


def inspect(host, kind, name):
    """The object of `docker inspect` for an image or a container, None when Docker has no such one."""
    argv = docker(host, "inspect", "--type", kind, name)
    result = commands.run(argv, ok=None)
    if result.rc != 0 and is_missing(result.err):
        return None
    if result.rc != 0:
        raise CommandFailed(argv, "failed with return code %d" % result.rc, result.err)
    return the_one(argv, result.out)


def list_containers(host):
    """All containers as a tuple of Container, the newest first. One that is paused or restarting counts as running."""
    form = "{{.ID}}\t{{.Names}}\t{{.Image}}\t{{.Status}}"
    argv = docker(host, "ps", "--all", "--no-trunc", "--format", form)
    containers = []
    for line in commands.run(argv).out.splitlines():
        if line.count("\t") < form.count("\t"):
            raise CommandFailed(argv, "printed a line that does not describe a container", line[:200])
        number, names, image, status = line.split("\t", 3)
        if not ID.match(number):
            raise CommandFailed(argv, "printed a container whose ID cannot be read", line[:200])
        name = next((each for each in names.split(",") if "/" not in each), names)  # others are links: web/db
        containers.append(Container(number, name, image, status, status.startswith(("Up", "Restarting"))))
    return tuple(containers)


# --- archives --------------------------------------------------------------------------------------------------


def archive_path(folder, image_id):
    """Where the archive of an image is: FOLDER/sha256-HEX.tar."""
    path = os.path.join(folder, image_id.replace(":", "-") + ".tar")
    if not SUFFIX.match(os.path.basename(path)):
        raise Refused("%r is not the whole ID of an image" % image_id, "Look at: docker images --no-trunc")
    return path


def list_archives(folder):
    """((Image, problem), ...) of the archives, sorted by ID; size is the archive's, problem "" or why it cannot be read.

    Reads no layer: a damaged layer is found when the archive is verified or loaded.
    """
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    archives = []
    for number in (name[:-4].replace("-", ":") for name in names if SUFFIX.match(name)):
        try:
            archives.append((find_archive(folder, number), ""))
        except image_archive.Damaged as error:
            archives.append((Image(number, (), os.stat(archive_path(folder, number)).st_size), error.what))
    return tuple(archives)


def find_archive(folder, name):
    """The Image of an archive, by whole ID or by tag, None when there is none. Raises Damaged for the archive of that ID."""
    if "sha256:" in name:
        path = archive_path(folder, name)
        return Image(name, image_archive.tags_in(path), os.stat(path).st_size) if os.path.exists(path) else None
    return next((image for image, _problem in list_archives(folder) if name in image.tags), None)


def is_archived(folder, image):
    """Whether the archive of an image is there and carries exactly its tags. It was verified when it got its name."""
    path = archive_path(folder, image.id)
    try:
        return os.path.exists(path) and image_archive.tags_in(path) == tuple(sorted(image.tags))
    except image_archive.Damaged:
        return False


def free_bytes(folder):
    """Free bytes, for others than root too, of the file system where folder is or would be made."""
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    values = os.statvfs(folder)
    return values.f_bavail * values.f_frsize


def must_have_space(folder, image):
    """Raise Refused when the archive of an image does not fit where it would be made."""
    free = free_bytes(folder)
    if free < needed_bytes(image):
        raise no_space(folder, image, "%d MiB are free and %d MiB are needed" % (free >> 20, (needed_bytes(image) >> 20) + 1))


def no_space(folder, image, why):
    """The refusal for a folder whose file system is too small."""
    return Refused(
        "there is no space in %s for the archive of image %s: %s" % (folder, label(image), why),
        "Name a folder on another file system: image_archive_dir: /srv/images    # or: docker image prune",
    )


def without_layers(host, image):
    """The refusal for an image of no files: on a graph driver Docker writes no archive of it (moby, image/tarexport/save.go)."""
    names = pasted(image.tags or (image.id,))
    return Refused(
        "image %s has no layers, and `docker save` writes no archive of such a one" % label(image),
        "It holds settings only. Keep them: docker --host %s inspect %s > /root/image.json\n"
        "Then remove it, and build it again after the switch: docker rmi %s" % (paste(host), paste(image.id), names),
    )


def is_id(name):
    """Whether this is an image's whole ID, and no name."""
    return re.match(r"sha256:[0-9a-f]{64}\Z", name) is not None


def gone(what):
    """For an image or a container that somebody removed after Docker was looked at: there is nothing of it to keep any more."""
    return Changed("%s was removed while it was to be kept." % what, "See who removes it: docker events --since 10m")


def must_be_as_seen(host, image, failure):
    """Raise Changed, from what failed, when an image is gone or has other tags than when it was looked at."""
    fields = inspect(host, "image", image.id)
    if fields is None:
        raise gone("image %s" % label(image)) from failure
    tags = parse_image(fields).tags
    if sorted(tags) != sorted(image.tags):
        raise Changed(
            "image %s has other tags than when it was looked at: %s." % (label(image), ", ".join(tags) or "none"),
            "See who changes them: docker events --since 10m",
        ) from failure


def label(image):
    """An image for people: its first tag, or its short ID."""
    return image.tags[0] if image.tags else image.id[:7] + image.id[7 : 7 + SHORT]


def save(host, image, folder, timeout):
    """Make sure that an image has its archive. False when it was there already. timeout in seconds, for `docker save`.

    All tags go into one archive. One with other tags, or that is not whole any more, is replaced once the new one is whole.
    """
    final = archive_path(folder, image.id)
    must_be_archive(final)
    if os.path.exists(final) and image_archive.is_whole(final, image):
        return False
    must_have_space(folder, image)
    archive_folder.make(folder)
    with archive_folder.scratch(folder) as place:
        fresh = os.path.join(place, os.path.basename(final))
        try:
            commands.run(docker(host, "save", "--output", fresh, *(image.tags or (image.id,))), timeout=timeout)
            sync_file(fresh)
            image_archive.verify(fresh, image)
        except CommandFailed as error:
            if "no space left on device" in error.err:
                raise no_space(folder, image, error.err) from error
            if "empty export" in error.err:
                raise without_layers(host, image) from error
            must_be_as_seen(host, image, error)
            raise
        except image_archive.Damaged as error:  # it may be another image that has the tag by now
            must_be_as_seen(host, image, error)
            raise
        must_be_archive(final)
        os.rename(fresh, final)
    files.sync_folder(folder)
    return True


def must_be_archive(path):
    """Raise Refused where something else than a file has an archive's name: a rename would replace it without a word."""
    files.must_be_file(path, os.lstat(path) if os.path.lexists(path) else None, "replaced")


def sync_file(path):
    """Make a file readable for root only, and wait until it is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(descriptor, 0o600)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- the way back into Docker ----------------------------------------------------------------------------------


def found_as(host, image, path):
    """Under which ID Docker has this image, None when it has it not. Tags are not looked at, except to find it.

    One store names an image by its configuration, another (containerd's) by its manifest, so an image that crosses from one
    to the other gets another ID. There it is what has the same layers and one of its tags, or another ID of the archive's.
    """
    if inspect(host, "image", image.id):
        return image.id
    if not os.path.exists(path):
        return None
    layers = image_archive.layers_in(path, image.id)
    for name in image.tags + image_archive.ids_in(path):
        current = inspect(host, "image", name)
        if current and tuple((current.get("RootFS") or {}).get("Layers") or ()) == layers:
            return current["Id"]
    return None


def missing_tags(host, image, image_id):
    """The tags of an image that Docker gives to no image or to another one than image_id."""
    fields = inspect(host, "image", image_id)
    return [tag for tag in image.tags if tag not in ((fields or {}).get("RepoTags") or ())]


def named_elsewhere(host, image, names):
    """([(tag, ID)] that somebody moved to another image since Docker came to this side, [(tag, ID)] that it had before).

    names: SwitchRecord.names, what each tag named when Docker came; None when that is not known, and nothing was moved then.
    The first stay with the newer image, loading takes the second ones; the other image stays in either case.
    """
    current = [(tag, inspect(host, "image", tag)) for tag in image.tags]
    pairs = [(tag, fields["Id"]) for tag, fields in current if fields and fields["Id"] != image.id]
    moved = [pair for pair in pairs if names is not None and pair not in names]
    return moved, [pair for pair in pairs if pair not in moved]


class Loading(NamedTuple):
    """What is left to do for an image of an archive, one decision for load() and for check mode.

    current: the ID under which Docker has the image, or None.  moved, taken: see named_elsewhere().
    loaded: whether Docker has it with all its tags but the moved ones.  due: whether load() would change anything.
    """

    current: Optional[str]
    moved: List[Tuple[str, str]]
    taken: List[Tuple[str, str]]
    loaded: bool
    due: bool


def look_at(host, image, folder, keep, names=None):
    """The Loading of an image of an archive. keep, names: see load()."""
    path = archive_path(folder, image.id)
    current = found_as(host, image, path)
    moved, taken = named_elsewhere(host, image._replace(id=current or image.id), names)
    loaded = current is not None and not set(missing_tags(host, image, current)) - {tag for tag, _number in moved}
    return Loading(current, moved, taken, loaded, not loaded or (not keep and os.path.exists(path)))


def load(host, image, folder, timeout, keep, names=None):
    """Make sure that Docker has an image of an archive, with all its tags but those that name a newer image.

    Returns (whether anything was done, [sentence about a tag]). timeout in seconds, for `docker load`. keep False: the
    archive is removed once the image is there.  names: see named_elsewhere().
    The archive is verified first: `docker load` itself does not look at layers that Docker has already.
    """
    path = archive_path(folder, image.id)
    there = look_at(host, image, folder, keep, names)
    if not there.due:
        return False, []
    sentences = []
    if not there.loaded:
        if not os.path.exists(path):
            raise Refused("image %s has no archive: there is no %s" % (label(image), path), LEFT)
        try:
            image_archive.verify(path, image)
        except image_archive.Damaged as error:
            raise image_archive.Damaged(error.what, LEFT) from error
        # That may have taken an hour: what did not have its name before was given it meanwhile.
        there = look_at(host, image, folder, keep, tuple(there.taken) if names is None else names)
    if not there.loaded:
        sentences = bring(host, image, path, timeout, there)
    if not keep:
        files.remove(path)
    return True, sentences


def bring(host, image, path, timeout, there):
    """docker load of an archive, and the names to whom they belong. there: the Loading right before. Returns the sentences."""
    printed = commands.run(docker(host, "load", "--input", path), timeout=timeout).out
    current = found_as(host, image, path) or next(iter(re.findall(r"^Loaded image ID: (\S+)", printed, re.M)), None)
    if current is None or inspect(host, "image", current) is None:
        raise Refused(
            "`docker load --input %s` reported success, yet Docker has no image %s" % (path, image.id),
            "Its archive is kept. Docker said: %s" % " ".join(printed.split()),
        )
    moved = there.moved + [pair for pair in RENAMED.findall(printed) if pair not in there.moved + there.taken]
    for tag, number in moved:  # `docker load` has just moved it
        commands.run(docker(host, "tag", number, tag))
    for tag in set(missing_tags(host, image, current)) - {tag for tag, _number in moved}:
        commands.run(docker(host, "tag", current, tag))
    sentences = [
        "tag %s stays with image %s, which got it after Docker's storage was changed; image %s has no such tag now. "
        "To give it one: docker tag %s NAME" % (tag, number, current, current)
        for tag, number in moved
    ]
    return sentences + [
        "tag %s named image %s until now, which is still there: docker tag %s NAME" % (tag, number, number)
        for tag, number in there.taken
    ]
