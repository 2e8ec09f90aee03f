"""Answers that nobody has seen and that may come all the same: one node of a recorded answer becomes something else.

Whatever it is, what comes out is the answer read, or the sentence of one of the exceptions that every module turns into a failure.
What a property found is a named row beside it, or in test_lvm_answer.py.
"""

import functools
import glob
import json
import os

import pytest
import states
from archives import LAYOUTS, dumps, write_tar
from containerd_hosts import READY, both, host
from docker_hosts import DONE, FRESH, WANTED
from hypothesis import given
from hypothesis import strategies as st
from odd import answering, judge, odd_answers, odd_texts, put, survives
from states import ALL_RECORDED, load, recorded

from module_utils.direct_lvm.apply import daemon, smoke_client
from module_utils.direct_lvm.facts import containerd, docker_root, lvm, systemd
from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.images import container_records, image_archive, images
from module_utils.direct_lvm.model import archives
from module_utils.direct_lvm.model.errors import CommandFailed
from module_utils.direct_lvm.texts import docker_info, docker_inspect

HOST = "unix:///run/d.sock"
STATE = ("bookworm", "07-complete-profile-attached")


@pytest.fixture(scope="module")
def answer_with():
    """answering() for a property: a fixture of a function would be the same for all its examples."""
    patch = pytest.MonkeyPatch()
    yield functools.partial(answering, patch)
    patch.undo()


# --- LVM ---------------------------------------------------------------------------------------------------------


REPORTS = [load(suite, state, "fullreport-all.json") for suite, state in states.names()]
REPORTS = [one for one in REPORTS if one]


@given(odd_answers(REPORTS))
def test_any_node_of_lvms_report_may_be_odd(answer_with, answer):
    answer_with(json.dumps(answer))
    if survives(lvm.ask):
        judge(states.tagged(states.host(*STATE)._replace(lvm=lvm.ask())), states.spec())


# --- Docker ------------------------------------------------------------------------------------------------------

INFOS = [
    json.loads(recorded("docker", os.path.basename(path))) for path in glob.glob(os.path.join(ALL_RECORDED, "docker/info-*.json"))
]
INFOS.sort(key=json.dumps)


@given(odd_answers(INFOS))
def test_any_node_of_docker_info_may_be_odd(answer):
    info, problem = docker_info.parse_info_json(json.dumps(answer))
    if info is None:
        assert problem
        return
    for desired, docker in ((both(), DONE), (both(), FRESH), (both()._replace(docker=WANTED), DONE)):
        judge(host(READY, docker._replace(version=info.version, info=info, root=info.root)), desired)
    docker_root.root_state(info.root)


@pytest.mark.parametrize(
    ("name", "odd", "words"),
    [
        ("DockerRootDir", ["x"], "the daemon names its data root ['x']"),
        ("DockerRootDir", "docker", "the daemon names its data root 'docker'"),
        ("DockerRootDir", "/a\0b", "the daemon names its data root '/a"),
        ("Driver", {"a": 1}, "the daemon names its storage driver {'a': 1}"),
        ("Images", True, "the daemon does not count its images"),
        ("Containers", -1, "the daemon does not count its images"),
        ("NCPU", float("nan"), "is not JSON (NaN is not a JSON number)"),
        ("MemTotal", 10**400, "is not JSON (a number has 401 digits)"),
        ("Name", "\ud800", "is not JSON ("),
    ],
)
def test_what_is_odd_in_docker_info_is_named(name, odd, words):
    fields = dict(json.loads(recorded("docker", "info-20.10.24-overlay2.json")), **{name: odd})
    info, problem = docker_info.parse_info_json(json.dumps(fields))
    assert info is None
    assert words in problem


def test_a_data_root_in_plain_docker_info_may_be_odd():
    text = recorded("docker", "info-1.12.6-loop-lvm.txt").replace("Docker Root Dir: /", "Docker Root Dir: ./")
    assert docker_info.parse_info_text(text) == (None, "the daemon names its data root './var/lib/docker'")


IMAGES = json.loads(recorded("docker", "inspect-images-20.10.24.json"))
CONTAINER = json.loads(recorded("docker", "inspect-container-20.10.24.json"))


@given(odd_answers([IMAGES]))
def test_any_node_of_an_image_may_be_odd(answer_with, answer):
    answer_with({"images": "\n".join(one["Id"] for one in IMAGES), "inspect": json.dumps(answer)})
    if survives(lambda: images.list_images(HOST)):
        described = images.described(HOST)
        docker_inspect.nameless(described)
        docker_inspect.least_bytes(described)
        held = images.list_images(HOST)
        judge(host(READY, FRESH._replace(images=held)), both())
        for image in held:
            survives(lambda image=image: images.archive_path("/a", image.id), lambda image=image: archives.needed_bytes(image))


@given(odd_answers([IMAGES[:1], CONTAINER]))
def test_any_node_of_what_one_thing_is_asked_may_be_odd(answer_with, tmp_path_factory, answer):
    folder = str(tmp_path_factory.getbasetemp())
    answer_with({"inspect": json.dumps(answer)})
    image = docker_inspect.parse_image(IMAGES[0])
    survives(lambda: images.missing_tags(HOST, image, image.id))
    survives(lambda: images.named_elsewhere(HOST, image, ()))
    survives(lambda: images.found_as(HOST, image, "/no/such"))
    survives(lambda: container_records.save_container(HOST, "x", folder, True, 60))


@pytest.mark.parametrize(
    ("path", "odd", "words"),
    [
        ((), {}, "printed what does not describe images or containers: {}"),
        ((0,), None, "printed what does not describe images or containers: [null]"),
        ((0, "Id"), None, "printed `Id` of an image or a container that cannot be read: null"),
        ((0, "Id"), "../../x", "printed `Id` of an image or a container that cannot be read: "),
        ((0, "RepoTags"), [None], "printed `RepoTags` of an image or a container that cannot be read: [null]"),
        ((0, "RepoDigests"), {"a": 1}, "printed `RepoDigests` of"),
        ((0, "Size"), True, "printed `Size` of"),
        ((0, "Size"), -1, "printed `Size` of"),
        ((0, "Size"), 2**63, "printed `Size` of"),
        ((0, "RootFS", "Layers"), 3, "printed `RootFS.Layers` of"),
        ((0, "Config"), [], "printed `Config` of"),
        ((0, "Config", "Image"), 5, "printed `Config.Image` of an image or a container that cannot be read: 5"),
        ((0, "Created"), 5, "printed `Created` of"),
        ((0, "Size"), float("nan"), "printed what is not JSON (NaN is not a JSON number)"),
    ],
    ids=lambda value: None if isinstance(value, str) else "%.20r" % (value,),
)
def test_what_is_odd_in_docker_inspect_is_named(answer_with, path, odd, words):
    answer_with({"images": IMAGES[0]["Id"], "inspect": json.dumps(put(IMAGES[:1], path, odd))})
    for asked in (lambda: images.list_images(HOST), lambda: images.inspect(HOST, "image", "x")):
        with pytest.raises(CommandFailed, match="docker --host .* inspect") as raised:
            asked()
        assert words in str(raised.value)


@pytest.mark.parametrize("count", [0, 2])
def test_an_answer_about_another_number_of_things_is_refused(answer_with, count):
    answer_with(json.dumps(IMAGES[:1] * count))
    with pytest.raises(CommandFailed, match="described %d of one" % count):
        images.inspect(HOST, "image", "x")


@pytest.mark.parametrize("part", ["Config", "State", "Mounts", "NetworkSettings", "Name"])
def test_null_in_a_container_is_an_empty_object(answer_with, tmp_path, part):
    answer_with({"inspect": json.dumps(put(CONTAINER, (0, part), None))})
    assert container_records.save_container(HOST, "x", str(tmp_path), False, 60) is True
    assert container_records.save_container(HOST, "x", str(tmp_path), False, 60) is False


def test_null_for_an_images_tags_is_none(answer_with):
    answer_with(json.dumps(put(IMAGES[:1], (0, "RepoTags"), None)))
    image = docker_inspect.parse_image(IMAGES[0])
    assert images.missing_tags(HOST, image, image.id) == list(image.tags)


@given(odd_texts([recorded("docker", "ps-20.10.24.txt")]))
def test_any_piece_of_docker_ps_may_be_odd(answer_with, text):
    answer_with(text)
    if survives(lambda: images.list_containers(HOST)):
        judge(host(READY, FRESH._replace(containers=images.list_containers(HOST))), both())


def test_a_container_without_an_id_is_named(answer_with):
    answer_with("\tname\timage\tUp 2 hours\n")
    with pytest.raises(CommandFailed, match=r"docker --host .* printed a container whose ID cannot be read: name\timage"):
        images.list_containers(HOST)


def test_of_a_long_log_a_sentence_has_both_ends(answer_with):
    """With Docker's log driver journald its containers write into the same log, lines of any length."""
    answer_with("first\n%s\nlast\n" % ("x" * 10**6))
    text = daemon.journal("docker")
    assert len(text) < 5000
    assert (text[:6], text[-5:]) == ("first\n", "\nlast")


# --- image archives ----------------------------------------------------------------------------------------------


@given(st.data(), st.sampled_from(sorted(LAYOUTS)))
def test_any_node_of_an_archives_documents_may_be_odd(tmp_path_factory, data, layout):
    members, image = LAYOUTS[layout]
    texts = {name: text for name, text in sorted(members.items()) if isinstance(text, bytes) and text[:1] in b"[{"}
    name = data.draw(st.sampled_from(sorted(texts)))
    changed = data.draw(odd_answers([json.loads(texts[name].decode())]))
    path = write_tar(tmp_path_factory.getbasetemp() / "odd.tar", dict(members, **{name: dumps(changed)}))
    for asked in (image_archive.tags_in, image_archive.ids_in):
        survives(lambda asked=asked: asked(path))
    survives(lambda: image_archive.layers_in(path, image.id))
    survives(lambda: image_archive.verify(path, image))


# --- containerd, systemd, the kernel -----------------------------------------------------------------------------


CTR = {  # what `ctr` prints for a word among its arguments
    "--detailed": recorded("containerd", "trixie", "plugins-detailed-ok"),
    "plugins": recorded("containerd", "trixie", "plugins-ok"),
    "namespaces": "default\nmoby\n",
    "snapshots": "KEY           PARENT      KIND\nweb           sha256:1    Active\nsha256:1                  Committed\n",
    "info": '{"ID": "web", "Image": "x", "Snapshotter": "devmapper"}',
    "tasks": "TASK    PID     STATUS\nweb     1234    RUNNING\n",
    "content": "DIGEST SIZE AGE LABELS\nsha256:1 1 MB 2 days %s=x\n" % containerd.GC_LABEL,
}


@given(st.data(), st.sampled_from(sorted(CTR)))
def test_any_piece_of_what_ctr_prints_may_be_odd(answer_with, data, word):
    answer_with(dict(CTR, **{word: data.draw(odd_texts([CTR[word]]))}))
    survives(lambda: containerd.plugin_status("/run/c.sock"))
    survives(lambda: containerd.list_tasks("/run/c.sock", containerd.list_snapshots("/run/c.sock")))
    survives(lambda: containerd.parse_labelled(commands.run(("ctr", word)).out))
    smoke_client.ContainerdClient("/run/c.sock", 1).pid()


@pytest.mark.parametrize("odd", ["\u00b2", "9" * 400, "-1", ""])
def test_a_process_number_that_is_none_is_none(answer_with, odd):
    answer_with("TASK PID STATUS\n%s %s RUNNING\n" % (smoke_client.NAME, odd))
    assert smoke_client.ContainerdClient("/run/c.sock", 1).pid() == 0
    answer_with(odd)
    assert smoke_client.DockerClient(HOST, 1).pid() == 0


@pytest.mark.parametrize("odd", ["[]", '{"Snapshotter": 5}', '{"Snapshotter": null}', "NaN", "[" * 1000, "{"])
def test_a_snapshotter_that_cannot_be_told_may_be_ours(odd):
    assert containerd.snapshotter_of(odd) is None


def test_snapshots_in_a_ring_or_in_a_long_line_are_read():
    ring = "KEY PARENT KIND\na b Committed\nb a Committed\nc c Active\n"
    assert sorted(containerd.parse_snapshots(ring)) == ["a", "b", "c"]
    line = "KEY PARENT KIND\n" + "".join("k%d k%d Committed\n" % (number, number + 1) for number in range(5000))
    assert containerd.parse_snapshots(line) == tuple("k%d" % number for number in range(5000))


@given(odd_texts([recorded("units", name) for name in ("show-debian-12-stock.txt", "show-debian-12-dropin.txt")]))
def test_any_piece_of_systemctl_show_may_be_odd(answer_with, tmp_path_factory, text):
    patch = pytest.MonkeyPatch()
    patch.setattr(systemd, "RUNNING", str(tmp_path_factory.getbasetemp()))
    answer_with(text)
    survives(lambda: systemd.observe_unit("docker", ""))
    patch.undo()


@pytest.mark.parametrize("odd", ["", "x", "-1", "\u00b2", "1/../../etc", "9" * 400])
def test_a_main_process_that_is_none_is_named(answer_with, monkeypatch, tmp_path, odd):
    monkeypatch.setattr(systemd, "RUNNING", str(tmp_path))
    answer_with("Id=docker.service\nLoadState=loaded\nActiveState=active\nMainPID=%s\n" % odd)
    with pytest.raises(CommandFailed, match="systemctl show .* gave .* as the main process of docker.service"):
        systemd.observe_unit("docker", "")


@pytest.mark.parametrize("odd", ["x", "1e999", "null", "true", '"1"', "[]", "-1", "9" * 400, "\u00b2"])
def test_a_transaction_that_is_none_is_none(tmp_path, odd):
    folder = tmp_path / "devicemapper" / "metadata"
    folder.mkdir(parents=True)
    (folder / "transaction-metadata").write_text('{"open_transaction_id": %s}' % odd, encoding="utf-8")
    assert docker_root.open_transaction(str(tmp_path), ()) is None
