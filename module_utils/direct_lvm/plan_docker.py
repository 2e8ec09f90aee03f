# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Docker on the pool: whether it may move there, what has to be kept first, and whether it is there. Pure."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from . import docker, geometry, images, plan_pair, plan_switch, switch_record, systemd
from .model import VENDOR_COMMAND, Refused
from .plan_pool import device_name
from .steps import ArchiveImage, KeepContainer, LoadImage, PlanAgain, RemoveFile, RemoveTree

KINDS = {"loop-lvm": "loop-lvm: devicemapper on loop files, never meant for production", "direct-lvm": "an older thin pool"}


def plan_docker(spec, host, pool_ready):
    """[step]: archives, the Switch, loading; [] when Docker is on the pool with everything that it had.

    pool_ready: the pool is as wanted already, so that a running Docker can be judged by its own report.
    Raises model.Refused when this Docker cannot use the pool, is configured elsewhere, or holds what would be lost.
    """
    found, wanted = host.docker, spec.docker
    if found.version is None:
        raise Refused(
            "Docker is not installed on this host%s." % (" (%s)" % found.problem if found.problem else ""),
            "Install it first, for example: apt-get install docker.io",
        )
    if wanted.back:
        return plan_back(spec, host)
    if wanted.clean:
        return plan_clean(spec, host)
    check_engine(found, wanted)
    pool, former = device_name(spec.pool), plan_switch.former_of(found)
    there = plan_switch.pool_side(spec, found, former, pool)
    on_pool = is_on(found.info, pool)
    if on_pool and pool_ready and as_written(found, wanted, there) and not problems(spec, found.info):
        return finish(found, wanted, "done")
    if on_pool:
        here = there._replace(dropin=found.dropin_text, daemon_json=found.daemon_json, moves=())
        return [plan_switch.switch(spec, found, here, there._replace(moves=()), None)] + finish(found, wanted, "done")
    plan_pair.check_pair(spec, host, former)
    check_room(spec, host)
    kept = keep_content(found, wanted)
    record = former._replace(state="done", pending=pending(found, former))
    here = plan_switch.former_side(found, former)
    loads = finish(found._replace(former=record), wanted, "done")
    kind = docker.storage_kind(found.info) if found.info else ""
    return kept + [plan_switch.switch(spec, found, here, there, record, KINDS.get(kind, kind))] + loads


def check_engine(found, wanted):
    """Raise Refused when the installed Docker has no devicemapper driver, or its storage is set elsewhere."""
    docker.engine_for(found.version, wanted.engine)
    if not found.can:
        raise Refused(
            "the installed Docker %s was built without the devicemapper driver. Nothing was changed." % found.version,
            "Static archives lack it. Install the distribution's or docker.com's package of Docker 24 or older.",
        )
    if found.conflicts:
        raise Refused("\n".join(found.conflicts))


def is_on(info, pool):
    """Whether a running Docker's report names this pool."""
    return info is not None and docker.storage_kind(info) == "direct-lvm" and info.field("Pool Name") == pool


def as_written(found, wanted, side):
    """Whether both files are as wanted, systemd has read them, and the daemon was started with what they say."""
    config = wanted.config == "dropin" or found.daemon_json == side.daemon_json
    read = found.unit.active_state == "active" and not found.unit.need_reload
    return found.dropin_text == side.dropin and config and read and started_with(found.unit, wanted.dropin_text)


def started_with(unit, text):
    """Whether the running daemon has the options that a drop-in's text appends to the installed command line.

    A run that was killed before the restart leaves a daemon with the former ones, and everything else as wanted.
    """
    appended = text.partition(VENDOR_COMMAND)[2].split("\n")[0].replace("%%", "%")
    words = tuple(word.text for word in systemd.command_words(appended, "", {}))
    return not words or not unit.arguments or unit.arguments[-len(words) :] == words


def problems(spec, info):
    """Sentences: each field of docker info that is not as it is on this pool."""
    return docker.info_problems(info, device_name(spec.pool), spec.pool.chunk_size)


def pending(found, former):
    """The images to load on the other side: those held now, and those that an earlier, cut off switch still owes."""
    known = {image.id for image in found.images}
    return found.images + tuple(image for image in former.pending if image.id not in known)


def finish(found, wanted, state):
    """[LoadImage..., the record]: what is still owed once Docker is where it should be."""
    former = found.former
    if former is None:
        return []
    steps = []
    if wanted.load:
        steps = [
            LoadImage(found.host, image, wanted.archive, wanted.keep_archives, "bring %s across" % title(image))
            for image in former.pending
        ]
    if steps or former.state == "begun":
        done = former._replace(state=state, pending=() if wanted.load else former.pending)
        steps.append(plan_switch.note(done, "note that all is where it belongs"))
    return steps


def title(image):
    """An image for the operator: its tags, or its short ID, and its size."""
    return "%s (%s)" % (", ".join(image.tags) or "untagged " + image.id[:19], geometry.human(image.size))


def keep_content(found, wanted):
    """[KeepContainer..., ArchiveImage...] before Docker changes its storage.

    Raises Refused for containers, which cannot cross, and when nobody can tell what Docker holds.
    """
    if found.info is None and not found.begun():
        held = [name for name in found.root_state if name.startswith("image/") or name == "containers"]
        if held:
            raise Refused(
                "Docker is not running (%s) and its data root holds %s, which would be hidden by the change of the storage "
                "driver." % (found.problem, ", ".join(held)),
                "Start it, so that it can tell what it holds: systemctl start docker",
            )
    if found.containers and wanted.containers != "discard":
        raise Refused(
            "Docker holds %d container%s, which cannot cross storage drivers: %s."
            % (
                len(found.containers),
                "s"[: len(found.containers) > 1],
                ", ".join("%s (%s, %s)" % (one.name, one.image, one.status) for one in found.containers),
            ),
            "Remove them: docker rm -f %s\nOr have their `docker inspect` kept and go without them:\n"
            "docker_storage_containers: discard\n"
            "What they wrote outside of volumes is then not visible any more; to keep that as images:\n"
            "image_archive_commit_containers: true" % " ".join(one.name for one in found.containers),
        )
    steps = [
        KeepContainer(found.host, one, wanted.archive, wanted.commit, "keep what is known of container %s" % one.name)
        for one in found.containers
    ]
    tags = {tag for image in found.images for tag in image.tags}
    if wanted.commit and not {images.commit_tag(one) for one in found.containers} <= tags:
        steps.append(PlanAgain("the images that were made of containers have to come across too"))
    todo = [image for image in found.images if image.id not in found.archived]
    need = sum(images.needed_bytes(image) for image in todo)
    if found.archive_free is not None and need > found.archive_free:
        raise Refused(
            "the archives of %d images need %s, the file system of %s has %s free."
            % (len(todo), geometry.human(need), wanted.archive, geometry.human(found.archive_free)),
            "Choose another folder: image_archive_dir: /path/with/space\nOr remove images that nobody needs: docker image prune",
        )
    steps += [ArchiveImage(found.host, image, wanted.archive, "archive %s" % title(image)) for image in todo]
    return steps


def check_room(spec, host):
    """Raise Refused when the images that have to come across are larger than the pool."""
    lv = host.lvm.lv(spec.pool.vg, spec.pool.name)
    need = sum(image.size for image in host.docker.images)
    if lv is not None and lv.segtype == "thin-pool" and need > lv.size:
        raise Refused(
            "Docker's images have %s, pool %s has %s." % (geometry.human(need), device_name(spec.pool), geometry.human(lv.size)),
            "Make the pool larger (thin_pool_devices, thin_pool_data_size), or remove images that nobody needs: docker image prune",
        )


def plan_back(spec, host):
    """[step]: Docker back on the storage that it had before the switch, images made since included.

    Raises Refused when there is nothing to go back to.
    """
    found, wanted, former = host.docker, spec.docker, host.docker.former
    if former is None:
        raise Refused(
            "this tool has not switched Docker on this host: there is nothing to go back to.",
            "See what Docker uses: docker info",
        )
    pool = device_name(spec.pool)
    if former.state == "back" and found.info is not None and not is_on(found.info, pool):
        return finish(found, wanted, "back")
    if found.info is None and former.state != "begun":
        raise Refused(
            "Docker is not running (%s), so what it holds cannot be told." % found.problem,
            "Start it first: systemctl start docker",
        )
    kept = keep_content(found, wanted)
    there = plan_switch.former_side(found, former)
    here = plan_switch.pool_side(spec, found, former, pool)
    record = former._replace(state="back", pending=pending(found, former))
    loads = finish(found._replace(former=record), wanted, "back")
    return kept + [plan_switch.switch(spec, found, here, there, record)] + loads


def plan_clean(spec, host):
    """[RemoveTree..., RemoveFile of the record]: what the former storage left; after that nothing can go back.

    Raises Refused while Docker is not on the pool with everything that came across.
    """
    found, former = host.docker, host.docker.former
    if former is None:
        return []
    if not is_on(found.info, device_name(spec.pool)) or former.state != "done" or former.pending:
        raise Refused(
            "Docker is not on the pool with everything that it had (%s)."
            % (found.problem or "%d images are still to be loaded" % len(former.pending) if former.pending else former.state),
            "Run playbooks/site.yml to the end first.",
        )
    steps = [RemoveTree(path, size, "left by the storage driver %s" % former.driver) for path, size in found.left]
    return [*steps, RemoveFile(switch_record.PATH, "nothing is left to go back to")]
