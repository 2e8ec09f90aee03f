"""Images carried across: what Docker says of them, save and load."""

import json
import os
import shutil
import stat

import pytest
from archives import LAYOUTS, SAVED, TAGS, TINY, classic, content, oci, with_layer, write_tar
from fake_docker import HOST, FakeDocker
from states import recorded

from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.images import image_archive, images
from module_utils.direct_lvm.images.image_archive import Damaged
from module_utils.direct_lvm.model.errors import Changed, CommandFailed, Refused
from module_utils.direct_lvm.model.host import Container, Image
from module_utils.direct_lvm.texts import docker_inspect

# --- what Docker says ------------------------------------------------------------------------------------------


def answers(monkeypatch, given):
    """commands.run answers each verb with a recorded text; a dictionary by verb."""
    monkeypatch.setattr(commands, "run", lambda argv, **_more: commands.Result(tuple(argv), 0, given[argv[3]], ""))


def test_images_as_docker_20_10_shows_them(monkeypatch):
    answers(
        monkeypatch,
        {"images": recorded("docker", "images-20.10.24.txt"), "inspect": recorded("docker", "inspect-images-20.10.24.json")},
    )
    found = images.list_images(HOST)
    assert [image.tags for image in found] == [
        ("tiny:2",),
        ("localhost:5000/team/tiny:1.0", "tiny:1"),
        ("direct-lvm/up-c-c:39a9596b2b79",),
        (),
        ("app:2",),
        ("built:1",),
        ("base:1", "base:latest", "localhost:5000/team/base:1.0"),
    ]
    assert found[0].id == TINY.id
    assert found[6] == Image("sha256:b5d34914d6071b8ce541e062f0e36e2f58af308fd42663c48af67ad79df27e3e", found[6].tags, 1982333)


def test_no_image_asks_only_once(monkeypatch):
    answers(monkeypatch, {"images": "", "ps": ""})
    assert images.list_images(HOST) == ()
    assert images.list_containers(HOST) == ()


def test_many_images_are_asked_in_batches(monkeypatch):
    ids = ["sha256:%064x" % number for number in range(450)]
    asked = []

    def run(argv, **_more):
        if argv[3] == "images":
            return commands.Result((), 0, "\n".join(ids), "")
        asked.append(len(argv[6:]))
        return commands.Result((), 0, json.dumps([{"Id": each, "RepoTags": None, "VirtualSize": 3} for each in argv[6:]]), "")

    monkeypatch.setattr(commands, "run", run)
    assert images.list_images(HOST) == tuple(Image(each, (), 3) for each in ids)
    assert asked == [200, 200, 50]


def test_old_dockers_none_is_no_tag():
    assert docker_inspect.parse_image({"Id": "sha256:1", "RepoTags": ["<none>:<none>"], "Size": 1}).tags == ()


def test_containers_as_docker_20_10_shows_them(monkeypatch):
    made = "\n1\tweb/db,db\timg\tExited (0) 2 hours ago\n2\tx\timg\tRestarting (1) 3 seconds ago\n3\ty\timg\tUp 1 second (Paused)\n"
    answers(monkeypatch, {"ps": recorded("docker", "ps-20.10.24.txt").rstrip("\n") + made})
    assert images.list_containers(HOST) == (
        Container("39a9596b2b7993875d4e42ed40322720aaa5c2b464b049743da31a7f1818a0ee", "Up.c_c", "base:1", "Up 11 minutes", True),
        Container("1", "db", "img", "Exited (0) 2 hours ago", False),
        Container("2", "x", "img", "Restarting (1) 3 seconds ago", True),
        Container("3", "y", "img", "Up 1 second (Paused)", True),
    )


@pytest.mark.parametrize(
    "said",
    [
        "Cannot connect to the Docker daemon at unix:///run/d.sock.",
        # Docker's client since 28.4
        "failed to connect to the docker API at unix:///run/d.sock; check if the path is correct and if the daemon is running: "
        "dial unix /run/d.sock: connect: no such file or directory",
    ],
    ids=["before", "since-28.4"],
)
def test_a_daemon_that_fails_is_not_an_image_that_is_missing(monkeypatch, said):
    def run(argv, **_more):
        return commands.Result((), 0, "sha256:1\n", "") if argv[3] == "images" else commands.Result((), 1, "[]", said)

    monkeypatch.setattr(commands, "run", run)
    for ask in (lambda: images.inspect(HOST, "image", "x"), lambda: images.list_images(HOST)):
        with pytest.raises(CommandFailed, match=said.split(" at ")[0]):
            ask()


@pytest.mark.parametrize("verb", ["ps", "inspect"])
@pytest.mark.parametrize("text", ["@", '"x"', "{}", "[1]", "[{}]", '[{"Id": 1}]', '[{"Id": "x", "RepoTags": 1}]', "[" * 100000])
def test_what_docker_never_prints_is_a_sentence_with_the_command(monkeypatch, verb, text):
    answers(monkeypatch, {"images": "sha256:1\n", "ps": text, "inspect": text})
    asks = {"ps": [images.list_containers], "inspect": [images.list_images, lambda host: images.inspect(host, "image", "x")]}
    for ask in asks[verb]:
        with pytest.raises(CommandFailed, match="`docker --host %s %s .*` printed " % (HOST, verb)):
            ask(HOST)


# --- save ------------------------------------------------------------------------------------------------------


def test_save_makes_a_verified_archive_once(monkeypatch, tmp_path):
    docker, folder = FakeDocker(monkeypatch, [TINY]), str(tmp_path / "a" / "b")
    assert images.save(HOST, TINY, folder, 60)
    assert not images.save(HOST, TINY, folder, 60)
    assert docker.verbs() == ["save"]
    assert docker.asked[0][3:] == ["tiny:2"]
    assert os.listdir(folder) == ["sha256-%s.tar" % TINY.id[7:]]
    assert os.stat(folder).st_mode & 0o777 == 0o700
    assert os.stat(images.archive_path(folder, TINY.id)).st_mode & 0o777 == 0o600
    assert images.list_archives(folder) == ((TINY._replace(size=43520), ""),)
    assert images.list_archives(folder + "/none") == ()
    assert images.find_archive(folder, "tiny:2") == images.find_archive(folder, TINY.id) == TINY._replace(size=43520)
    assert images.find_archive(folder, "tiny:3") is images.find_archive(folder, "sha256:" + "0" * 64) is None


def test_an_archive_with_other_tags_is_made_anew(monkeypatch, tmp_path):
    members, image = classic(tags=("app:1",))
    docker, folder = FakeDocker(monkeypatch, whole=write_tar(tmp_path / "one.tar", members)), str(tmp_path / "f")
    assert images.save(HOST, image, folder, 60)
    both = image._replace(tags=TAGS)
    assert not images.is_archived(folder, both)
    docker.whole = write_tar(tmp_path / "two.tar", classic()[0])
    assert images.save(HOST, both, folder, 60)
    assert images.is_archived(folder, both)
    assert not images.is_archived(folder, image)


def test_a_dangling_image_is_saved_by_its_id(monkeypatch, tmp_path):
    members, image = classic(tags=())
    docker = FakeDocker(monkeypatch, whole=write_tar(tmp_path / "one.tar", members))
    assert images.save(HOST, image, str(tmp_path / "f"), 60)
    assert docker.asked[0][3:] == [image.id]


def test_an_archive_that_came_out_damaged_never_gets_its_name(monkeypatch, tmp_path):
    FakeDocker(monkeypatch, [LAYOUTS["classic"][1]], write_tar(tmp_path / "bad.tar", with_layer("classic", b"x")[0]))
    with pytest.raises(Damaged, match="layer 2 of 3"):
        images.save(HOST, LAYOUTS["classic"][1], str(tmp_path / "f"), 60)
    assert os.listdir(str(tmp_path / "f")) == []


@pytest.mark.parametrize(
    ("tags", "error"),
    [((), None), ((), "Error response from daemon: reference does not exist"), (("app:1", "app:2"), None)],
    ids=["moved-to-a-newer-image", "taken-away", "one-more"],
)
def test_an_image_whose_tags_change_while_it_is_saved_is_planned_anew(monkeypatch, tmp_path, tags, error):
    """`docker save app:1` writes whatever has that tag by then."""
    image = classic(tags=("app:1",))[1]
    docker = FakeDocker(monkeypatch, [image._replace(tags=tags)])  # what it writes is another image
    docker.save_error = error
    with pytest.raises(Changed, match=r"image app:1 has other tags than when it was looked at"):
        images.save(HOST, image, str(tmp_path / "f"), 60)
    assert os.listdir(str(tmp_path / "f")) == []


def test_a_damaged_archive_under_the_final_name_is_replaced_while_docker_has_the_image(monkeypatch, tmp_path):
    FakeDocker(monkeypatch, [TINY])
    with open(images.archive_path(str(tmp_path), TINY.id), "wb") as stream:
        stream.write(content()[:20000])
    ((listed, problem),) = images.list_archives(str(tmp_path))
    assert listed == Image(TINY.id, (), 20000)
    assert "is damaged: " in problem
    with pytest.raises(Damaged):
        images.find_archive(str(tmp_path), TINY.id)
    assert images.find_archive(str(tmp_path), "tiny:2") is None
    assert images.save(HOST, TINY, str(tmp_path), 60)
    image_archive.verify(images.archive_path(str(tmp_path), TINY.id), TINY)


def test_an_archive_that_has_rotted_since_it_was_made_is_made_anew(monkeypatch, tmp_path):
    members, image = LAYOUTS["classic"]
    FakeDocker(monkeypatch, [image], write_tar(tmp_path / "good.tar", members))
    write_tar(images.archive_path(str(tmp_path), image.id), with_layer("classic", b"x")[0])
    assert images.is_archived(str(tmp_path), image)
    assert [images.save(HOST, image, str(tmp_path), 60) for _time in range(2)] == [True, False]


@pytest.mark.parametrize("kind", ["a folder", "a FIFO", "a socket"])
def test_what_is_no_file_is_not_replaced_by_an_archive(monkeypatch, tmp_path, kind):
    docker, path = FakeDocker(monkeypatch, [TINY]), images.archive_path(str(tmp_path), TINY.id)
    make = {"a folder": os.mkdir, "a FIFO": os.mkfifo, "a socket": lambda name: os.mknod(name, 0o600 | stat.S_IFSOCK)}
    make[kind](path)
    with pytest.raises(Refused, match="is %s, not a regular file: it is not replaced" % kind):
        images.save(HOST, TINY, str(tmp_path), 60)
    assert docker.verbs() == []


def test_what_a_killed_run_left_goes(monkeypatch, tmp_path):
    FakeDocker(monkeypatch, [TINY])
    os.mkdir(str(tmp_path / "incomplete"))
    (tmp_path / "incomplete" / ".docker_temp_123").write_text("x")
    assert images.save(HOST, TINY, str(tmp_path), 60)
    assert os.listdir(str(tmp_path)) == ["sha256-%s.tar" % TINY.id[7:]]


def test_no_space_is_found_before_and_told_with_a_way_out(monkeypatch, tmp_path):
    docker, huge = FakeDocker(monkeypatch, [TINY]), TINY._replace(size=1 << 60)
    with pytest.raises(Refused) as raised:
        images.save(HOST, huge, str(tmp_path / "not" / "yet"), 60)
    assert raised.value.what.startswith("there is no space in %s for the archive of image tiny:2: " % (tmp_path / "not" / "yet"))
    assert "image_archive_dir: " in raised.value.way_out
    assert docker.asked == []
    assert os.listdir(str(tmp_path)) == []


def test_no_space_in_the_middle_is_told_the_same_way(monkeypatch, tmp_path):
    docker = FakeDocker(monkeypatch, [TINY])
    docker.save_error = "write /f/.docker_temp_224524465: no space left on device"
    with pytest.raises(Refused, match="there is no space in .*docker_temp_224524465: no space left on device"):
        images.save(HOST, TINY, str(tmp_path), 60)
    docker.save_error = "Error response from daemon: reference does not exist"
    with pytest.raises(CommandFailed, match="reference does not exist"):
        images.save(HOST, TINY, str(tmp_path), 60)
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("name", ["base:1", "sha256:12", "sha256:../" + "0" * 61, ""])
def test_only_whole_ids_name_an_archive(name):
    with pytest.raises(Refused, match="is not the whole ID of an image"):
        images.archive_path("/f", name)


# --- load ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """A folder with the archive of TINY."""
    shutil.copy(SAVED, images.archive_path(str(tmp_path), TINY.id))
    return str(tmp_path)


def test_load_brings_id_and_tags_back_once(monkeypatch, folder):
    docker = FakeDocker(monkeypatch)
    assert images.load(HOST, TINY, folder, 60, True)[0]
    assert docker.store == {TINY.id: {"tiny:2"}}
    assert not images.load(HOST, TINY, folder, 60, True)[0]
    assert docker.verbs() == ["load"]
    assert images.is_archived(folder, TINY)


def test_load_removes_the_archive_when_it_is_not_kept_also_after_an_interruption(monkeypatch, folder):
    docker = FakeDocker(monkeypatch, [TINY])
    assert images.load(HOST, TINY, folder, 60, False)[0]
    assert os.listdir(folder) == []
    assert not images.load(HOST, TINY, folder, 60, False)[0]
    assert docker.verbs() == []


def test_a_tag_that_load_dropped_is_set_again(monkeypatch, folder):
    docker = FakeDocker(monkeypatch)
    docker.drops = ("tiny:2",)
    assert images.load(HOST, TINY, folder, 60, True)[0]
    assert docker.store == {TINY.id: {"tiny:2"}}
    assert docker.verbs() == ["load", "tag"]


OTHER = Image("sha256:" + "1" * 64, ("tiny:2",), 1)


@pytest.mark.parametrize(
    ("situation", "names", "kept", "word"),
    [
        ("nobody knows what the tag named when Docker came", None, TINY.id, "named image"),
        ("the tag names what it named when Docker came", (("tiny:2", OTHER.id),), TINY.id, "named image"),
        ("somebody gave a new tag to another image since", (), OTHER.id, "stays with image"),
        ("somebody moved the tag since", (("tiny:2", "sha256:" + "2" * 64),), OTHER.id, "stays with image"),
    ],
)
def test_a_tag_that_was_moved_since_docker_came_stays_with_the_newer_image(monkeypatch, folder, situation, names, kept, word):
    docker = FakeDocker(monkeypatch, [OTHER])
    changed, sentences = images.load(HOST, TINY, folder, 60, True, names)
    assert changed
    assert set(docker.store) == {OTHER.id, TINY.id}  # whoever loses the name is still there
    assert [number for number, tags in docker.store.items() if "tiny:2" in tags] == [kept]
    (sentence,) = sentences
    assert word in sentence
    assert OTHER.id in sentence
    assert images.load(HOST, TINY, folder, 60, True, names) == (False, [])  # the next run leaves it so


@pytest.mark.parametrize("names", [None, (), (("tiny:2", "sha256:" + "2" * 64),)], ids=["not-known", "no-such-name", "another"])
@pytest.mark.parametrize("when", ["verify", "load"])
def test_a_tag_that_is_moved_while_the_archive_is_read_goes_back_to_the_newer_image(monkeypatch, folder, names, when):
    docker = FakeDocker(monkeypatch)
    verify, load = image_archive.verify, docker.do_load

    def move(step, *given):
        docker.store[OTHER.id] = {"tiny:2"}
        return step(*given)

    if when == "load":
        docker.do_load = lambda *given: move(load, *given)
    else:
        monkeypatch.setattr(image_archive, "verify", lambda *given: move(verify, *given))
    changed, sentences = images.load(HOST, TINY, folder, 60, True, names)
    assert changed
    assert set(docker.store) == {OTHER.id, TINY.id}
    assert [number for number, tags in docker.store.items() if "tiny:2" in tags] == [OTHER.id]
    (sentence,) = sentences
    assert "stays with image " + OTHER.id in sentence


def test_an_image_that_somebody_loads_while_its_archive_is_verified_is_not_loaded_again(monkeypatch, folder):
    docker = FakeDocker(monkeypatch)
    monkeypatch.setattr(image_archive, "verify", lambda *_given: docker.store.update({TINY.id: {"tiny:2"}}))
    assert images.load(HOST, TINY, folder, 60, False) == (True, [])
    assert docker.verbs() == []
    assert os.listdir(folder) == []


def test_an_image_that_is_removed_while_docker_is_asked_is_left_out(monkeypatch):
    docker = FakeDocker(monkeypatch, [TINY, OTHER])
    docker.vanish = OTHER.id
    assert [image.id for image in images.list_images(HOST)] == [TINY.id]


def test_an_image_that_is_removed_before_it_is_saved_changes_the_plan(monkeypatch, tmp_path):
    docker = FakeDocker(monkeypatch)
    docker.save_error = "Error response from daemon: reference does not exist"
    with pytest.raises(Changed, match="was removed while it was to be kept"):
        images.save(HOST, TINY, str(tmp_path), 60)


def test_a_damaged_archive_is_not_loaded(monkeypatch, tmp_path):
    docker, image = FakeDocker(monkeypatch), LAYOUTS["classic"][1]
    write_tar(images.archive_path(str(tmp_path), image.id), with_layer("classic", b"x")[0])
    with pytest.raises(Damaged, match="layer 2 of 3.*\n.*ansible-playbook playbooks/rollback.yml"):
        images.load(HOST, image, str(tmp_path), 60, False)
    assert docker.verbs() == []
    assert len(os.listdir(str(tmp_path))) == 1


def test_no_archive_and_no_image_is_refused(monkeypatch, tmp_path):
    FakeDocker(monkeypatch)
    with pytest.raises(Refused, match="image tiny:2 has no archive.*\n.*ansible-playbook playbooks/rollback.yml"):
        images.load(HOST, TINY, str(tmp_path), 60, True)


def test_a_load_that_brought_something_else_keeps_the_archive(monkeypatch, folder):
    docker = FakeDocker(monkeypatch)
    docker.loads = Image("sha256:" + "2" * 64, ("tiny:2",), 1)
    with pytest.raises(Refused, match="reported success, yet Docker has no image"):
        images.load(HOST, TINY, folder, 60, False)
    assert images.is_archived(folder, TINY)


def test_a_store_that_gives_other_ids_is_recognised_by_tag_and_layers(monkeypatch, folder):
    docker = FakeDocker(monkeypatch)
    docker.loads = Image("sha256:" + "3" * 64, ("tiny:2",), 1)
    docker.layers[docker.loads.id] = image_archive.layers_in(SAVED, TINY.id)
    assert images.load(HOST, TINY, folder, 60, True)[0]
    assert not images.load(HOST, TINY, folder, 60, True)[0]
    assert docker.verbs() == ["load"]


def test_a_dangling_image_in_such_a_store_is_recognised_by_the_archives_other_id(monkeypatch, tmp_path):
    members, by_manifest = oci(tags=(), by="manifest")
    _members, by_config = oci(tags=(), by="config")
    docker = FakeDocker(monkeypatch)
    docker.loads = by_manifest
    path = write_tar(images.archive_path(str(tmp_path), by_config.id), members)
    docker.layers[by_manifest.id] = image_archive.layers_in(path, by_config.id)
    assert images.load(HOST, by_config, str(tmp_path), 60, True)[0]
    assert not images.load(HOST, by_config, str(tmp_path), 60, True)[0]
    assert docker.verbs() == ["load"]
