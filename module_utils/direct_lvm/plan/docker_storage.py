# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Docker on the pool: whether it may move there, what has to be kept first, and whether it is there. Pure."""

from ..model import archives, engines, geometry
from ..model.errors import Refused
from ..model.names import OURS, SHADOW, device_name
from ..model.quoting import paste, pasted
from ..model.spec import ROLL_BACK
from ..model.steps import ArchiveImage, KeepContainer, LoadImage, RemoveFile, RemoveTree, Replan
from ..texts import docker_info, docker_words, own_files, switch_record
from ..texts.daemon_json import merge
from . import docker_switch, live_switch, ownership
from .docker_switch import DRAINED, LARGER

KINDS = {"loop-lvm": "loop-lvm: devicemapper on loop files, never meant for production", "direct-lvm": "an older thin pool"}
SHOWN = 3  # names in a sentence
AGAIN = Replan("what Docker has is known once it serves")


def plan_docker(spec, host, image_store):
    """[step]: archives, the Transaction, loading; [] when Docker is on the pool with everything that it had.

    image_store: through containerd's snapshotter, not by the graph driver.
    Raises Refused when this Docker cannot use the pool, is configured elsewhere, or holds what would be lost.
    """
    docker, desired = host.docker, spec.docker
    check_docker(docker, image_store)
    pool, former = device_name(spec.pool), docker_switch.former_of(docker)
    target = docker_switch.pool_side(spec, docker, former, pool, image_store)
    on_pool = is_on(docker.info, pool)
    torn = live_switch.is_torn(docker, on_pool)
    if torn and live_switch.belongs_on_pool(docker, pool, on_pool):
        side = docker_switch.former_side(spec, docker, former, image_store)
        return [*live_switch.bring_to_pool(spec, docker, target, side), AGAIN]
    if on_pool and as_written(docker, spec.pool, desired, target) and not problems(spec, docker.info):
        return live_switch.finish(docker) or finish(docker, desired, "done")
    obstacle = live_switch.obstacle(docker, desired, former, image_store)
    wiped = live_switch.wipe(spec, host) if not on_pool and live_switch.is_unfinished(docker) else []
    if wiped:
        docker = live_switch.without_unfinished(docker)
        host = host._replace(docker=docker)
    elif not image_store and not on_pool:
        ownership.check_pair(spec, host, former)
    if on_pool or (docker.info is None and belongs(docker, pool, image_store)):
        target = target._replace(moves=(), after=())
        current = target._replace(dropin=docker.dropin_text, daemon_json=docker.daemon_json)
        switch = docker_switch.switch(spec, docker, current, target, None)
        due = live_switch.finish(docker) or finish(docker, desired, "done")
        return [*switch, *docker_switch.started_again(docker), *due]
    current = docker_switch.former_side(spec, docker, former, image_store)
    first = [*live_switch.bring_back(spec, docker, current, target), AGAIN] if torn else []
    first += wiped
    try:
        if not wiped:
            check_room(spec, host, image_store)
        if not obstacle:
            check_moves(docker, target)
            return first + live_switch.plan_live(spec, host, former, current, target)
    except Refused:
        if not first:
            raise
        return first  # Docker serves first, or what fills the disk goes first; then it is told
    if torn:
        return first
    kept = keep_content(docker, desired, obstacle if desired.containers == "keep" else "")
    names = docker_switch.names_on_pool(docker, former, image_store)
    record = former._replace(state="done", pending=pending(docker, former), names=names, kept=())
    check_moves(docker, target)
    loads = finish(docker._replace(former=record), desired, "done")
    kind = docker_info.storage_kind(docker.info) if docker.info else ""
    return wiped + kept + docker_switch.switch(spec, docker, current, target, record, KINDS.get(kind, kind)) + loads


def check_docker(docker, image_store):
    """Raise Refused when the installed Docker lacks its graph driver, or its storage is set elsewhere."""
    if not docker.can and not image_store:
        raise Refused(
            "the installed Docker %s was built without the devicemapper driver. Nothing was changed." % docker.version,
            "Static archives lack it. Install the distribution's or docker.com's package of Docker 24 or older.",
        )
    if docker.conflicts:
        raise Refused("\n".join(docker.conflicts))


def check_moves(docker, side):
    """Raise Refused for a folder that would have to be renamed and is a mount point: the kernel lets nobody rename it."""
    sources = [move.source for move in side.moves + side.after]
    for path in ["%s/%s" % (docker.root, name) for name in docker.mounted]:
        if path in sources:
            copy = "cp -a {0} {1} && umount {0} && rmdir {0} && mv {1} {0}".format(paste(path), paste(path + ".copy"))
            raise Refused(
                "%s is a file system of its own, and this switch has to set it aside, which no mount point can be." % path,
                "Bring what is on it into the data root, Docker is down meanwhile: systemctl stop docker.socket docker; %s\n"
                "Take its line out of /etc/fstab (findmnt %s tells which), then: systemctl start docker.socket docker"
                % (copy, paste(path)),
            )


def is_on(info, pool):
    """Whether a running Docker's report names this pool; of a snapshotter's pool only containerd's configuration tells."""
    kind = docker_info.storage_kind(info) if info else ""
    return kind == "devmapper-snapshotter" or (kind == "direct-lvm" and info.field("Pool Name") == pool)


def belongs(docker, pool, image_store):
    """Whether a Docker that does not answer is to start on this pool as it is set up, and no switch of it is half done."""
    if docker.former is not None and docker.former.state != "done":
        return False
    if image_store:
        return docker.daemon_json is not None and docker_switch.changed(docker, merge, own_files.IMAGE_STORE) == docker.daemon_json
    return docker_switch.is_set_up_for(docker, pool)


def as_written(docker, pool, desired, side):
    """Whether both files are as wanted, systemd has read them, and the daemon was started with what they say."""
    written = (docker.dropin_text, docker.daemon_json) == (side.dropin, side.daemon_json)
    read = docker.unit.active_state == "active" and not docker.unit.need_reload
    flags = own_files.docker_flags(pool, desired) if side.dropin else ""
    return written and read and docker_words.started_with(docker.unit, flags)


def problems(spec, info):
    """Sentences: each field of docker info that is not as it is on this pool. Of a snapshotter it says nothing more."""
    if docker_info.storage_kind(info) == "devmapper-snapshotter":
        return []
    return docker_info.info_problems(info, device_name(spec.pool), spec.pool.chunk_size)


def pending(docker, former):
    """The images to load on the other side: those held now, and those that an earlier, cut off switch still owes."""
    known = {image.id for image in docker.images}
    return docker.images + tuple(image for image in former.pending if image.id not in known)


def finish(docker, desired, state):
    """[LoadImage..., the record]: what is still owed once Docker is where it should be."""
    former = docker.former
    if former is None:
        return []
    steps = [
        LoadImage(docker.host, image, desired.archive_dir, desired.keep_archives, "bring %s across" % title(image), former.names)
        for image in former.pending
        if desired.load_images
    ]
    # On the way back what is unfinished on the pool is known by that folder.
    if SHADOW in docker.root_state and not (state == "back" and docker.live and docker.live.shadow == "unfinished"):
        steps.append(RemoveTree("%s/%s" % (docker.root, SHADOW), None, "left by a switch that was to keep the containers"))
    if steps or former.state == "begun":
        done = former._replace(state=state, pending=() if desired.load_images else former.pending)
        steps.append(docker_switch.note(done, "note that all is where it belongs"))
    return steps


def title(image):
    """An image for the operator: its tags, or its short ID, and its size."""
    return "%s (%s)" % (", ".join(image.tags) or "untagged " + image.id[:19], geometry.format_size(image.size))


def keep_content(docker, desired, obstacle=""):
    """[KeepContainer..., ArchiveImage...] before Docker changes its storage. obstacle: see live_switch.

    Raises Refused for containers, which cannot cross, and when nobody can tell what Docker holds.
    """
    if docker.info is None and not docker.begun():
        held = [name for name in docker.root_state if name.startswith("image/") or name == "containers"]
        if held:
            raise Refused(
                "Docker %s (%s) and its data root holds %s, which would be hidden by the change of the storage driver."
                % (silent(docker), docker.problem, ", ".join(held)),
                "Start it, so that it can tell what it holds: systemctl start docker",
            )
    if docker.containers and desired.containers != "discard":
        raise cannot_cross(docker.containers, obstacle)
    folder, why = desired.archive_dir, "keep what is known of container %s"
    steps = [KeepContainer(docker.host, one, folder, desired.commit_containers, why % one.name) for one in docker.containers]
    tags = {tag for image in docker.images for tag in image.tags}
    if desired.commit_containers and not {archives.commit_tag(one) for one in docker.containers} <= tags:
        steps.append(Replan("the images made of containers must be migrated too"))
    if docker.images or docker.containers:
        archives.must_fit(folder, docker.archive_unfit)
    todo = [image for image in docker.images if image.id not in docker.archived]
    need = sum(archives.needed_bytes(image) for image in todo)
    if docker.archive_free is not None and need > docker.archive_free:
        raise Refused(
            "the archives of %d images need %s, the file system of %s has %s free."
            % (len(todo), geometry.format_size(need), folder, geometry.format_size(docker.archive_free)),
            "Choose another folder: image_archive_dir: /path/with/space\nOr remove images that nobody needs: docker image prune",
        )
    for image in docker.images:
        if image in todo or desired.verify_archives:
            why = "archive %s" if image in todo else "verify the archive of %s, which is there"
            steps.append(ArchiveImage(docker.host, image, folder, why % title(image)))
    return steps


def silent(docker):
    """How it is with a Docker that does not tell what it holds: an active one is not down."""
    return "does not answer" if docker.unit is not None and docker.unit.active_state == "active" else "is not running"


def cannot_cross(containers, obstacle):
    """The refusal for containers. obstacle: why they cannot be kept, where that was asked for."""
    first = "" if obstacle else "To keep them (Docker 20.10 to 24 on overlay2): docker_storage_containers: keep\n"
    if any(docker_switch.TASK.search(one.name) for one in containers):
        first = (
            "Those of a swarm's services come again when they are removed. Have the node drained around its switch:\n"
            "%s\nOf others:\n" % DRAINED
        )
    names = ", ".join("%s (%s, %s)" % (one.name, one.image, one.status) for one in containers)
    return Refused(
        "Docker holds %d container%s, which cannot cross storage drivers%s: %s."
        % (len(containers), "s"[: len(containers) > 1], " (%s)" % obstacle if obstacle else "", names),
        first + "Remove them: docker rm -f %s\nOr have their `docker inspect` kept and go without them:\n"
        "docker_storage_containers: discard\n"
        "What they wrote outside of volumes is then not visible any more; to keep that as images:\n"
        "image_archive_commit_containers: true" % pasted(one.name for one in containers),
    )


def check_room(spec, host, image_store):
    """Raise Refused when the images that must be migrated surely do not fit into the pool, or one not into a snapshot's size."""
    size = spec.containerd.base_image_size.bytes if image_store else 0
    large = [image for image in host.docker.images if image_store and image.size > size]
    if large:
        raise Refused(
            "image %s is larger than what containerd's snapshotter would give to it, %s."
            % (title(large[0]), geometry.format_size(size)),
            "Have it give more to each image and container: containerd_storage_base_image_size: %dGB"
            % (large[0].size // 10**9 + 10),
        )
    free, least, _most = pool_space(spec, host)
    if free is not None and least > free:
        raise Refused(
            "Docker's images have %s when what they share is counted once, pool %s has %s free."
            % (geometry.format_size(least), device_name(spec.pool), geometry.format_size(free)),
            LARGER,
        )


def pool_space(spec, host):
    """(free bytes of the pool, None when there is none yet; bytes that Docker's images have at least; at most)."""
    lv, docker = host.lvm.thin_pool(spec.pool), host.docker
    sizes = [image.size for image in docker.images]
    there = docker.former or "devicemapper" + OURS in docker.root_state  # what comes again finds its images
    used = 0.0 if lv is None or there else lv.data_percent or 0.0
    free = int(lv.size * (100 - used) / 100) if lv else None
    return free, max([docker.least_bytes, *sizes]), sum(sizes)


def tight(spec, host):
    """A sentence when the images that must be migrated may not fit into the pool, which nobody can tell; "" otherwise."""
    if host.docker is None or host.docker.info is None or is_on(host.docker.info, device_name(spec.pool)):
        return ""
    free, least, most = pool_space(spec, host)
    if free is None or most <= free:
        return ""
    sizes = tuple(geometry.format_size(size) for size in (least, most, free))
    return "Docker's images have %s to %s, depending on what they share; the pool has %s free: some may not fit. " % sizes + LARGER


def left_behind(spec, host):
    """(sentence, ...) of what a change of the storage driver does not bring across, while Docker is to change it; () after."""
    docker, desired, sentences = host.docker, spec.docker, []
    if docker is not None and docker.rootless:
        sentence = "Docker also runs without root (%s): what that one holds stays in its user's home folder, not on the pool."
        sentences.append(sentence % shortened(docker.rootless))
    if docker is None or docker.info is None or is_on(docker.info, device_name(spec.pool)) != (spec.goal == ROLL_BACK):
        return tuple(sentences)
    image_store = engines.is_image_store(desired.engine, docker.version)
    if docker.build_cache and image_store:
        sentence = "BuildKit's build cache is not migrated: it stays in %s/buildkit, for a rollback, and builds start from scratch."
        sentences.append(sentence % docker.root)
    elif docker.build_cache:
        sentences.append(
            "BuildKit's build cache is not migrated. Its records in %s/buildkit stay, they name layers of the storage "
            "driver %s, and a build that meets them on another one may fail. To have none left: "
            "docker builder prune --all --force, best before the switch." % (docker.root, docker.info.driver)
        )
    if docker.nameless and live_switch.obstacle(docker, desired, docker_switch.former_of(docker), image_store):
        sentences.append(
            "Images that are named by a digest only are migrated without a name, for no archive holds one: %s. To have them found: "
            "docker tag them before the switch, or docker pull them after it." % shortened(docker.nameless)
        )
    if docker.plugins:
        sentences.append("Docker's %d plugins stay in %s/plugins, and work on after the switch." % (docker.plugins, docker.root))
    return tuple(sentences)


def shortened(names):
    """Some names for a sentence, and how many more there are."""
    return ", ".join(names[:SHOWN]) + (" and %d more" % (len(names) - SHOWN) if names[SHOWN:] else "")


def plan_away(spec, host):
    """[step]: Docker off the pool, or what its former storage left removed. Raises Refused."""
    docker = host.docker
    if docker.version is None:
        raise Refused(
            "Docker is not installed on this host%s." % (" (%s)" % docker.problem if docker.problem else ""),
            "To take the pool away from containerd: ansible-playbook playbooks/remove.yml",
        )
    return plan_back(spec, host) if spec.goal == ROLL_BACK else plan_clean(spec, host)


def plan_back(spec, host):
    """[step]: Docker back on the storage that it had before the switch, or on overlay2, images made since included.

    Raises Refused when there is nothing to go back to.
    """
    docker, desired, former = host.docker, spec.docker, host.docker.former
    image_store = engines.is_image_store(desired.engine, docker.version)
    if desired.roll_back_to == "overlay2" and not (former and former.driver == "overlay2"):
        if docker.info is not None and docker.info.driver == "overlay2" and former is None:
            return []
        former = docker_switch.overlay2(docker)
    if former is None:
        what = "this tool has not switched Docker on this host: there is nothing to go back to."
        raise Refused(what, "See what Docker uses: docker info")
    pool = device_name(spec.pool)
    on_pool = is_on(docker.info, pool)
    if former.state == "back" and docker.info is not None and not on_pool:
        return finish(docker, desired, "back")
    target = docker_switch.former_side(spec, docker, former, image_store)
    if docker.begun() and former.kept and docker.live:
        current = docker_switch.pool_side(spec, docker, former, pool, image_store)
        gone = docker.info is None and desired.containers == "discard"  # that is how it is asked for
        if live_switch.is_torn(docker, on_pool) and live_switch.belongs_on_pool(docker, pool, on_pool) and not gone:
            return [*live_switch.bring_to_pool(spec, docker, current, target), AGAIN]
        if not on_pool:
            return live_switch.give_up(spec, docker, target, current)
    without = docker.info is None and former.state != "begun"
    if without and desired.containers != "discard":
        raise Refused(
            "Docker %s (%s), so what it holds cannot be told." % (silent(docker), docker.problem),
            "Start it first: systemctl start docker\nOr, when it does not start any more, go back without what only the pool "
            "has:\ndocker_storage_containers: discard\nImages and containers made since the switch are then not visible any "
            "more, until Docker is on this pool again.",
        )
    kept = [] if without else keep_content(docker, desired, "they can be kept on the way to the pool only")
    current = docker_switch.pool_side(spec, once_aside(docker, target), former, pool, image_store)
    check_moves(docker, target)
    names = docker_switch.names_of_former(docker, former)
    record = former._replace(state="back", pending=pending(docker, former), names=names, kept=())
    loads = finish(docker._replace(former=record), desired, "back")
    kind = "it %s, and what only the pool has is left behind" % silent(docker) if without else ""
    return kept + docker_switch.switch(spec, docker, current, target, record, kind) + loads


def once_aside(docker, side):
    """The Docker as its folders are once it is on that side, so that a way back from there finds what has to be brought back."""
    moved = tuple(move.target[len(docker.root) + 1 :] for move in side.moves + side.after)
    return docker._replace(root_state=docker.root_state + tuple(name for name in moved if name.endswith(OURS)))


def plan_clean(spec, host):
    """[RemoveTree..., RemoveFile of the record]: what the former storage left; after that nothing can go back.

    Raises Refused while Docker is not on the pool with everything that came across.
    """
    docker, former = host.docker, host.docker.former
    if former is None:
        return []
    why = ""
    if not is_on(docker.info, device_name(spec.pool)):
        why = docker.problem or "docker info: Storage Driver is %s" % (docker.info.driver if docker.info else "not told")
    elif former.state != "done" or former.pending:
        why = "%d images are still to be loaded" % len(former.pending) if former.pending else "its switch was cut off"
    if why:
        what = "Docker is not on the pool with everything that it had (%s)." % why
        raise Refused(what, "Run playbooks/site.yml to the end first.")
    steps = [RemoveTree(path, size, "left by the storage driver %s" % former.driver) for path, size in docker.left]
    return [*steps, RemoveFile(switch_record.PATH, "nothing is left to go back to")]
