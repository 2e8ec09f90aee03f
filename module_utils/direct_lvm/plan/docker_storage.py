# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Docker on the pool: whether it may move there, what has to be kept first, and whether it is there. Pure."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..model import archives, engines, geometry
from ..model.errors import Refused
from ..model.names import device_name
from ..model.quoting import paste, pasted
from ..model.spec import ROLL_BACK
from ..model.steps import ArchiveImage, KeepContainer, LoadImage, PlanAgain, RemoveFile, RemoveTree
from ..texts import docker_conflicts, docker_info, docker_words, own_files, switch_record
from . import docker_switch, ownership

KINDS = {"loop-lvm": "loop-lvm: devicemapper on loop files, never meant for production", "direct-lvm": "an older thin pool"}
SHOWN = 3  # names in a sentence
LARGER = "Make the pool larger (thin_pool_devices, thin_pool_data_size), or remove images that nobody needs: docker image prune"


def plan_docker(spec, host, image_store):
    """[step]: archives, the Switch, loading; [] when Docker is on the pool with everything that it had.

    image_store: through containerd's snapshotter, not by the graph driver.
    Raises Refused when this Docker cannot use the pool, is configured elsewhere, or holds what would be lost.
    """
    found, wanted = host.docker, spec.docker
    check_docker(found, image_store)
    pool, former = device_name(spec.pool), docker_switch.former_of(found)
    there = docker_switch.pool_side(spec, found, former, pool, image_store)
    on_pool = is_on(found.info, pool)
    if on_pool and as_written(found, spec.pool, wanted, there) and not problems(spec, found.info):
        return finish(found, wanted, "done")
    stopped = found.info is None and belongs(found, pool, image_store)
    if stopped and not image_store:
        ownership.check_pair(spec, host, former)
    if on_pool or stopped:
        there = there._replace(moves=(), after=())
        here = there._replace(dropin=found.dropin_text, daemon_json=found.daemon_json)
        switch = docker_switch.switch(spec, found, here, there, None)
        return [*switch, *docker_switch.started_again(found), *finish(found, wanted, "done")]
    if not image_store:
        ownership.check_pair(spec, host, former)
    check_room(spec, host, image_store)
    kept = keep_content(found, wanted)
    names = docker_switch.names_on_pool(found, former, image_store)
    record = former._replace(state="done", pending=pending(found, former), names=names)
    here = docker_switch.former_side(spec, found, former, image_store)
    check_moves(found, there)
    loads = finish(found._replace(former=record), wanted, "done")
    kind = docker_info.storage_kind(found.info) if found.info else ""
    return kept + docker_switch.switch(spec, found, here, there, record, KINDS.get(kind, kind)) + loads


def check_docker(found, image_store):
    """Raise Refused when the installed Docker lacks its graph driver, or its storage is set elsewhere."""
    if not found.can and not image_store:
        raise Refused(
            "the installed Docker %s was built without the devicemapper driver. Nothing was changed." % found.version,
            "Static archives lack it. Install the distribution's or docker.com's package of Docker 24 or older.",
        )
    if found.conflicts:
        raise Refused("\n".join(found.conflicts))


def check_moves(found, side):
    """Raise Refused for a folder that would have to be renamed and is a mount point: the kernel lets nobody rename it."""
    for name in found.mounted:
        path = "%s/%s" % (found.root, name)
        if path in [move.source for move in side.moves + side.after]:
            raise Refused(
                "%s is a file system of its own, and this switch has to set it aside, which no mount point can be." % path,
                "Bring what is on it into the data root, Docker is down meanwhile: systemctl stop docker.socket docker; "
                "cp -a {0} {1} && umount {0} && rmdir {0} && mv {1} {0}\n"
                "Take its line out of /etc/fstab (findmnt {0} tells which), then: systemctl start docker.socket docker".format(
                    paste(path), paste(path + ".copy")
                ),
            )


def is_on(info, pool):
    """Whether a running Docker's report names this pool; of a snapshotter's pool only containerd's configuration tells."""
    kind = docker_info.storage_kind(info) if info else ""
    return kind == "devmapper-snapshotter" or (kind == "direct-lvm" and info.field("Pool Name") == pool)


def belongs(found, pool, image_store):
    """Whether a Docker that does not answer is to start on this pool as it is set up, and no switch of it is half done."""
    if found.former is not None and found.former.state != "done":
        return False
    if image_store:
        return found.daemon_json is not None and docker_switch.merged(found, own_files.IMAGE_STORE) == found.daemon_json
    return ("storage-opt", "dm.thinpooldev=/dev/mapper/" + pool) in docker_conflicts.storage_settings(
        found.dropin_text, found.daemon_json
    )


def as_written(found, pool, wanted, side):
    """Whether both files are as wanted, systemd has read them, and the daemon was started with what they say."""
    config = found.daemon_json == side.daemon_json
    read = found.unit.active_state == "active" and not found.unit.need_reload
    return (
        found.dropin_text == side.dropin
        and config
        and read
        and docker_words.started_with(found.unit, own_files.docker_flags(pool, wanted) if side.dropin else "")
    )


def problems(spec, info):
    """Sentences: each field of docker info that is not as it is on this pool. Of a snapshotter it says nothing more."""
    if docker_info.storage_kind(info) == "devmapper-snapshotter":
        return []
    return docker_info.info_problems(info, device_name(spec.pool), spec.pool.chunk_size)


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
    if wanted.load_images:
        steps = [
            LoadImage(found.host, image, wanted.archive_dir, wanted.keep_archives, "bring %s across" % title(image), former.names)
            for image in former.pending
        ]
    if steps or former.state == "begun":
        done = former._replace(state=state, pending=() if wanted.load_images else former.pending)
        steps.append(docker_switch.note(done, "note that all is where it belongs"))
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
                "Docker %s (%s) and its data root holds %s, which would be hidden by the change of the storage driver."
                % (silent(found), found.problem, ", ".join(held)),
                "Start it, so that it can tell what it holds: systemctl start docker",
            )
    if found.containers and wanted.containers != "discard":
        raise cannot_cross(found.containers)
    steps = [
        KeepContainer(
            found.host, one, wanted.archive_dir, wanted.commit_containers, "keep what is known of container %s" % one.name
        )
        for one in found.containers
    ]
    tags = {tag for image in found.images for tag in image.tags}
    if wanted.commit_containers and not {archives.commit_tag(one) for one in found.containers} <= tags:
        steps.append(PlanAgain("the images that were made of containers have to come across too"))
    if found.images or found.containers:
        archives.must_fit(wanted.archive_dir, found.archive_unfit)
    todo = [image for image in found.images if image.id not in found.archived]
    need = sum(archives.needed_bytes(image) for image in todo)
    if found.archive_free is not None and need > found.archive_free:
        raise Refused(
            "the archives of %d images need %s, the file system of %s has %s free."
            % (len(todo), geometry.human(need), wanted.archive_dir, geometry.human(found.archive_free)),
            "Choose another folder: image_archive_dir: /path/with/space\nOr remove images that nobody needs: docker image prune",
        )
    for image in found.images:
        if image in todo:
            steps.append(ArchiveImage(found.host, image, wanted.archive_dir, "archive %s" % title(image)))
        elif wanted.verify_archives:
            steps.append(
                ArchiveImage(found.host, image, wanted.archive_dir, "verify the archive of %s, which is there" % title(image))
            )
    return steps


def silent(found):
    """How it is with a Docker that does not tell what it holds: an active one is not down."""
    return "does not answer" if found.unit is not None and found.unit.active_state == "active" else "is not running"


def cannot_cross(containers):
    """The refusal for containers."""
    swarm = ""
    if any(docker_switch.TASK.search(one.name) for one in containers):
        swarm = (
            "Those of a swarm's services come again when they are removed. Have the node drained around its switch:\n"
            "docker_storage_before_switch: [hooks/swarm_drain.yml]\ndocker_storage_after_switch: [hooks/swarm_active.yml]\n"
            "docker_storage_containers: discard\nOf others:\n"
        )
    return Refused(
        "Docker holds %d container%s, which cannot cross storage drivers: %s."
        % (
            len(containers),
            "s"[: len(containers) > 1],
            ", ".join("%s (%s, %s)" % (one.name, one.image, one.status) for one in containers),
        ),
        swarm + "Remove them: docker rm -f %s\nOr have their `docker inspect` kept and go without them:\n"
        "docker_storage_containers: discard\n"
        "What they wrote outside of volumes is then not visible any more; to keep that as images:\n"
        "image_archive_commit_containers: true" % pasted(one.name for one in containers),
    )


def check_room(spec, host, image_store):
    """Raise Refused when the images that have to come across surely do not fit into the pool, or one not into a snapshot's size."""
    large = [image for image in host.docker.images if image_store and image.size > spec.containerd.base_image_size.bytes]
    if large:
        raise Refused(
            "image %s is larger than what containerd's snapshotter would give to it, %s."
            % (title(large[0]), geometry.human(spec.containerd.base_image_size.bytes)),
            "Have it give more to each image and container: containerd_storage_base_image_size: %dGB"
            % (large[0].size // 10**9 + 10),
        )
    free, least, _most = room(spec, host)
    if free is not None and least > free:
        raise Refused(
            "Docker's images have %s when what they share is counted once, pool %s has %s free."
            % (geometry.human(least), device_name(spec.pool), geometry.human(free)),
            LARGER,
        )


def room(spec, host):
    """(free bytes of the pool, None when there is none yet; bytes that Docker's images have at least; at most)."""
    lv, found = host.lvm.lv(spec.pool.vg, spec.pool.name), host.docker
    sizes = [image.size for image in found.images]
    used = 0.0 if lv is None or found.former else lv.data_percent or 0.0  # one that comes again finds its images there
    free = int(lv.size * (100 - used) / 100) if lv is not None and lv.segtype == "thin-pool" else None
    return free, max([found.least_bytes, *sizes]), sum(sizes)


def tight(spec, host):
    """A sentence when the images that have to come across may not fit into the pool, which nobody can tell; "" otherwise."""
    if host.docker is None or host.docker.info is None or is_on(host.docker.info, device_name(spec.pool)):
        return ""
    free, least, most = room(spec, host)
    if free is None or most <= free:
        return ""
    sizes = tuple(geometry.human(size) for size in (least, most, free))
    return "Docker's images have %s to %s, depending on what they share; the pool has %s free: some may not fit. " % sizes + LARGER


def left_behind(spec, host):
    """(sentence, ...) of what a change of the storage driver does not bring across, while Docker is to change it; () after."""
    found, wanted, said = host.docker, spec.docker, []
    if found is not None and found.rootless:
        said.append(
            "Docker also runs without root (%s): what that one holds stays in its user's home folder, not on the pool."
            % shortened(found.rootless)
        )
    if found is None or found.info is None or is_on(found.info, device_name(spec.pool)) != (spec.goal == ROLL_BACK):
        return tuple(said)
    if found.build_cache and engines.is_image_store(wanted.engine, found.version):
        said.append(
            "BuildKit's build cache does not come across: it stays in %s/buildkit, for the way back, and builds begin anew."
            % found.root
        )
    elif found.build_cache:
        said.append(
            "BuildKit's build cache does not come across. Its records in %s/buildkit stay, they name layers of the storage "
            "driver %s, and a build that meets them on another one may fail. To have none left: "
            "docker builder prune --all --force, best before the switch." % (found.root, found.info.driver)
        )
    if found.nameless:
        said.append(
            "Images that are named by a digest only come across without a name, for no archive holds one: %s. To have them found: "
            "docker tag them before the switch, or docker pull them after it." % shortened(found.nameless)
        )
    if found.plugins:
        said.append("Docker's %d plugins stay in %s/plugins, and work on after the switch." % (found.plugins, found.root))
    return tuple(said)


def shortened(names):
    """Some names for a sentence, and how many more there are."""
    return ", ".join(names[:SHOWN]) + (" and %d more" % (len(names) - SHOWN) if names[SHOWN:] else "")


def plan_away(spec, host):
    """[step]: Docker off the pool, or what its former storage left removed. Raises Refused."""
    found = host.docker
    if found.version is None:
        raise Refused(
            "Docker is not installed on this host%s." % (" (%s)" % found.problem if found.problem else ""),
            "To take the pool away from containerd: ansible-playbook playbooks/remove.yml",
        )
    return plan_back(spec, host) if spec.goal == ROLL_BACK else plan_clean(spec, host)


def plan_back(spec, host):
    """[step]: Docker back on the storage that it had before the switch, or on overlay2, images made since included.

    Raises Refused when there is nothing to go back to.
    """
    found, wanted, former = host.docker, spec.docker, host.docker.former
    image_store = engines.is_image_store(wanted.engine, found.version)
    if wanted.roll_back_to == "overlay2" and not (former and former.driver == "overlay2"):
        if found.info is not None and found.info.driver == "overlay2" and former is None:
            return []
        former = docker_switch.overlay2(found)
    if former is None:
        raise Refused(
            "this tool has not switched Docker on this host: there is nothing to go back to.",
            "See what Docker uses: docker info",
        )
    pool = device_name(spec.pool)
    if former.state == "back" and found.info is not None and not is_on(found.info, pool):
        return finish(found, wanted, "back")
    without = found.info is None and former.state != "begun"
    if without and wanted.containers != "discard":
        raise Refused(
            "Docker %s (%s), so what it holds cannot be told." % (silent(found), found.problem),
            "Start it first: systemctl start docker\nOr, when it does not start any more, go back without what only the pool "
            "has:\ndocker_storage_containers: discard\nImages and containers made since the switch are then not visible any "
            "more, until Docker is on this pool again.",
        )
    kept = [] if without else keep_content(found, wanted)
    there = docker_switch.former_side(spec, found, former, image_store)
    here = docker_switch.pool_side(spec, found, former, pool, image_store)
    check_moves(found, there)
    names = docker_switch.names_of_former(found, former)
    record = former._replace(state="back", pending=pending(found, former), names=names)
    loads = finish(found._replace(former=record), wanted, "back")
    kind = "it %s, and what only the pool has is left behind" % silent(found) if without else ""
    return kept + docker_switch.switch(spec, found, here, there, record, kind) + loads


def plan_clean(spec, host):
    """[RemoveTree..., RemoveFile of the record]: what the former storage left; after that nothing can go back.

    Raises Refused while Docker is not on the pool with everything that came across.
    """
    found, former = host.docker, host.docker.former
    if former is None:
        return []
    away = not is_on(found.info, device_name(spec.pool))
    if away or former.state != "done" or former.pending:
        why = found.problem or "docker info: Storage Driver is %s" % (found.info.driver if found.info else "not told")
        if not away:
            why = "%d images are still to be loaded" % len(former.pending) if former.pending else "its switch was cut off"
        raise Refused(
            "Docker is not on the pool with everything that it had (%s)." % why,
            "Run playbooks/site.yml to the end first.",
        )
    steps = [RemoveTree(path, size, "left by the storage driver %s" % former.driver) for path, size in found.left]
    return [*steps, RemoveFile(switch_record.PATH, "nothing is left to go back to")]
