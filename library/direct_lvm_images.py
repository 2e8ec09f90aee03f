#!/usr/bin/python
# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
---
module: direct_lvm_images
short_description: Carry Docker's images across a change of its storage driver
version_added: "0.1.0"
description:
  - Saves one image to an archive of its own, with all its tags, and loads it again. One call is one image, so that a loop
    shows how far it is.
  - An archive is read back and proven whole, digest by digest, before it gets its name.
  - Keeps the settings of a container as a file and, when asked, its changed files as an image.
  - With neither O(image) nor O(container) it lists what Docker holds and what is archived.
author:
  - The direct-lvm contributors (@lvmops)
options:
  dir:
    description:
      - Folder of the archives. It is made when it is missing, and only root may enter it.
      - A folder that is there is not changed, and refused unless it is root's, closed to others, and in folders that others cannot
        write to.
    type: path
    default: /var/lib/direct-lvm/images
  image:
    description: The image's whole ID (C(sha256:...)) or one of its tags.
    type: str
  container:
    description: The container's ID or name, to be kept in O(dir). Only with O(state=saved).
    type: str
  state:
    description:
      - V(saved) makes sure that the archive is there. V(verified) reads the whole archive and fails when it is damaged.
      - V(loaded) makes sure that Docker has the image and all its tags. A tag that was given to another image after
        Docker changed its storage stays with that image; any other tag that names another image is moved.
        A warning tells of either.
    type: str
    choices: [saved, verified, loaded]
    default: saved
  commit:
    description:
      - Whether an image C(direct-lvm/NAME:ID) is made of the container's files. A running container is paused meanwhile.
      - Volumes are in no image.
    type: bool
    default: false
  keep:
    description: Whether the archive stays once it is loaded.
    type: bool
    default: true
  command_timeout:
    description: Seconds after which C(docker save), C(docker load) or C(docker commit) is stopped. Saving a large image is slow.
    type: int
    default: 3600
  lock_timeout:
    description: Seconds to wait for another run on the same host.
    type: int
    default: 600
attributes:
  check_mode:
    support: full
    description: Says whether there is anything to do, and refuses what would be refused.
  diff_mode:
    support: none
    description: There is nothing to show.
  platform:
    support: full
    platforms: posix
    description: Linux with systemd and Docker 1.11 or newer.
notes:
  - Runs as root. Needs Python 3.6 and nothing beyond its standard library.
  - Asks only the daemon of this host's docker.service, whatever C(DOCKER_HOST) or a context says, and never starts it.
seealso:
  - module: lvmops.direct_lvm.direct_lvm
"""

EXAMPLES = r"""
- name: What is there
  lvmops.direct_lvm.direct_lvm_images:
  register: held

- name: Save every image
  lvmops.direct_lvm.direct_lvm_images:
    image: "{{ item.id }}"
  loop: "{{ held.images }}"
  loop_control:
    label: "{{ item.tags | default([item.id], true) | join(', ') }}, {{ item.size | human_readable }}"

- name: Keep a container's settings, and its files as an image
  lvmops.direct_lvm.direct_lvm_images:
    container: web
    commit: true

- name: Load an image and remove its archive
  lvmops.direct_lvm.direct_lvm_images:
    image: app:1.4
    state: loaded
    keep: false
"""

RETURN = r"""
active:
  description: Whether docker.service runs. While it does not, what Docker holds is not known and the lists of it are empty.
  type: bool
  returned: when listing
images:
  description: Images of Docker. Size in bytes; archived is whether the archive with exactly these tags is there.
  type: list
  elements: dict
  returned: when listing
  sample:
    - id: sha256:b5d34914d6071b8ce541e062f0e36e2f58af308fd42663c48af67ad79df27e3e
      tags: ["base:1", "base:latest"]
      size: 1982333
      archived: false
containers:
  description: Containers of Docker; kept is whether the record of their settings is there and still right.
  type: list
  elements: dict
  returned: when listing
  sample:
    - id: 3163d440133bf32388f4369293892497a95978e6b7af1303d61b05a1a7eca155
      name: web
      image: base:1
      status: Up 3 hours
      running: true
      kept: false
archives:
  description: Archives in O(dir), whether Docker has their images or not; size is the archive's;
    problem says why one cannot be read, and is empty otherwise.
  type: list
  elements: dict
  returned: when listing
  sample:
    - id: sha256:b5d34914d6071b8ce541e062f0e36e2f58af308fd42663c48af67ad79df27e3e
      tags: ["base:1", "base:latest"]
      size: 2002432
      file: /var/lib/direct-lvm/images/sha256-b5d34914d6071b8ce541e062f0e36e2f58af308fd42663c48af67ad79df27e3e.tar
      problem: ""
free:
  description: Free bytes of the file system of O(dir).
  type: int
  returned: when listing
needed:
  description: Bytes that the archives of all images that have none may take.
  type: int
  returned: when listing
id:
  description: The whole ID of the image or container.
  type: str
  returned: with O(image) or O(container)
tags:
  description: The tags of the image; of a committed container, the tag of the image made of it.
  type: list
  elements: str
  returned: with O(image) or O(container)
file:
  description: The archive of the image, or the record of the container.
  type: str
  returned: with O(image) or O(container)
way_out:
  description: After a refusal, what the operator can do about it.
  type: str
  returned: failure
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.direct_lvm.facts import docker
from ..module_utils.direct_lvm.host import files, lock
from ..module_utils.direct_lvm.images import archive_folder, container_records, image_archive, images
from ..module_utils.direct_lvm.model import archives
from ..module_utils.direct_lvm.model.errors import Changed, CommandFailed, Refused
from ..module_utils.direct_lvm.texts import switch_record
from ..module_utils.direct_lvm.texts.docker_inspect import parse_image


def listing(setup, folder):
    """What Docker holds, what is archived, and whether the rest fits."""
    active = setup.unit.active_state == "active"
    held = images.list_images(setup.host) if active else ()
    containers = images.list_containers(setup.host) if active else ()
    archived = [image.id for image in held if images.is_archived(folder, image)]
    return {
        "active": active,
        "images": [dict(image._asdict(), tags=list(image.tags), archived=image.id in archived) for image in held],
        "containers": [dict(each._asdict(), kept=is_kept(setup.host, folder, each)) for each in containers],
        "archives": [
            dict(each._asdict(), tags=list(each.tags), file=images.archive_path(folder, each.id), problem=problem)
            for each, problem in images.list_archives(folder)
        ],
        "free": images.free_bytes(folder),
        "needed": sum(archives.needed_bytes(image) for image in held if image.id not in archived),
    }


def is_kept(host, folder, container):
    """Whether the record of a container's settings exists and is still right. Docker is asked only if it exists."""
    exists = os.path.exists(container_records.record_path(folder, container))
    return exists and container_records.is_kept(folder, container_records.find_container(host, container.id))


def named_image(host, params):
    """The Image that the parameters name: of Docker for state saved, else first of the archives. Raises Refused."""
    if params["state"] == "saved":
        fields = images.inspect(host, "image", params["image"])
        if fields is None and images.is_id(params["image"]):
            raise images.gone("image %s" % params["image"])
        if fields is None:
            raise Refused("Docker has no image %s" % params["image"], "Look at: docker images --all --no-trunc")
        return parse_image(fields)
    archived = images.find_archive(params["dir"], params["image"])
    if archived:
        return archived
    fields = images.inspect(host, "image", params["image"]) if params["state"] == "loaded" else None
    if fields:  # loaded by an earlier run, which removed the archive
        return parse_image(fields)
    raise Refused("there is no archive of image %s in %s" % (params["image"], params["dir"]))


def names_before():
    """What each tag named when Docker came to its storage, None when that is not known; see images.named_elsewhere()."""
    former = switch_record.parse(files.read_text(switch_record.PATH))
    return former.names if former else None


def one_image(module, host, result):
    """Save, verify or load one image."""
    params, folder, timeout = module.params, module.params["dir"], module.params["command_timeout"]
    image = named_image(host, params)
    path = images.archive_path(folder, image.id)
    result.update(id=image.id, tags=list(image.tags), file=path)
    if params["state"] == "verified":
        image_archive.verify(path, image)
    elif params["state"] == "saved" and module.check_mode:
        result["changed"] = not images.is_archived(folder, image)
        if result["changed"]:
            images.must_have_space(folder, image)
    elif params["state"] == "saved":
        result["changed"] = images.save(host, image, folder, timeout)
    elif module.check_mode:
        result["changed"] = images.look_at(host, image, folder, params["keep"], names_before()).due
    else:
        result["changed"], sentences = images.load(host, image, folder, timeout, params["keep"], names_before())
        for sentence in sentences:
            module.warn(sentence)


def one_container(module, host, result):
    """Keep one container's settings and, when asked, its files."""
    params, folder = module.params, module.params["dir"]
    if params["state"] != "saved":
        raise Refused("a container cannot be %s, only saved" % params["state"], "Start it anew from its image and its record.")
    fields = container_records.find_container(host, params["container"])
    container = container_records.container_of(fields)
    tags = [archives.commit_tag(container)] if params["commit"] else []
    result.update(id=container.id, tags=tags, file=container_records.record_path(folder, container))
    if module.check_mode:
        committed = not params["commit"] or container_records.is_committed(host, fields)
        result["changed"] = not (committed and container_records.is_kept(folder, fields))
    else:
        result["changed"] = container_records.save_container(
            host, container.id, folder, params["commit"], params["command_timeout"]
        )


def work(module, result):
    """What the parameters ask for."""
    folder = module.params["dir"]
    archives.must_fit(folder, archive_folder.problem(folder))
    docker.refuse_podman()
    setup = docker.observe_setup("")
    if not module.params["image"] and not module.params["container"]:
        result.update(listing(setup, module.params["dir"]))
        return
    if setup.unit.active_state != "active" and module.params["state"] != "verified":
        raise Refused(
            "docker.service is %s, and only a running Docker can save or load" % setup.unit.active_state,
            "systemctl start docker",
        )
    one = one_image if module.params["image"] else one_container
    if module.check_mode or module.params["state"] == "verified":
        one(module, setup.host, result)
        return
    with lock.only_one_run(module.params["lock_timeout"]):
        one(module, setup.host, result)


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=images.ARGUMENTS, mutually_exclusive=[("image", "container")], supports_check_mode=True)
    result = {"changed": False}
    try:
        files.must_be_root()
        os.umask(0o077)
        work(module, result)
    except Changed as change:  # nothing is left to be done for it
        module.warn(str(change))
    except (Refused, CommandFailed, OSError) as failure:
        module.fail_json(msg=str(failure), way_out=getattr(failure, "way_out", ""), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
