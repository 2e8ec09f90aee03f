"""On a real guest: images leave Docker as archives and come back as they were; the smoke test tells the pool from the rest.

    .venv/bin/python3 -m pytest tests/guest/test_images.py

Docker 20.10 on overlay2 with images of every kind, and then on a thin pool. The tests run in their order: each goes on
from where the one before it left the guest.
"""

import json

import pytest
from remote import install, run

FOLDER = "/var/lib/direct-lvm/images"
TAGS = ["base:1", "base:latest", "localhost:5000/team/base:1.0"]
# base: three tags; app:1 and app:2: layers by commit over one base; built:1: two layers alike, of which `docker save` makes
# a symlink; one dangling image; containers that run and that have ended.
BUILD = r"""
set -e
docker import /usr/local/share/busybox.tar base:1
docker tag base:1 base:latest
docker tag base:1 localhost:5000/team/base:1.0
docker run --name one --network none base:1 /bin/busybox sh -c 'echo one > /one'
docker commit one app:1
docker run --name two --network none app:1 /bin/busybox sh -c 'echo two > /two; rm /one'
docker commit two app:2
docker commit --change 'ENV dangling=1' one
mkdir -p /tmp/context && cd /tmp/context && echo hello > hello
printf 'FROM base:1\nCOPY hello /again\nCOPY hello /again\n' > Dockerfile
docker build -q -t built:1 .
docker run -d --name Up.c_c --network none -e SECRET=x base:1 /bin/busybox sleep 100000
"""
# Parents go after their children, which a round each takes.
EMPTY = """
docker ps -aq | xargs -r docker rm -f
for round in 1 2 3 4 5 6; do docker images -aq | sort -u | xargs -r docker rmi -f; done > /dev/null 2>&1
test -z "$(docker images -aq)"
"""


@pytest.fixture(scope="module")
def guest(boot):
    machine = boot("images")
    install(machine)
    machine.ssh("bash -s", stdin=BUILD)
    return machine


def images(guest, **wanted):
    """Run direct_lvm_images; a traceback would be no dictionary with these keys."""
    result = run(guest, module="direct_lvm_images", **wanted)
    assert "changed" in result or "msg" in result, result
    return result


def held(guest):
    """{ID: tags} of what Docker has."""
    return {image["id"]: image["tags"] for image in images(guest)["images"]}


@pytest.fixture(scope="module")
def before(guest):
    """What Docker had before anything was done."""
    return held(guest)


def test_the_list_is_what_docker_shows(guest, before):
    listing = images(guest)
    assert sorted(before.values()) == [[], ["app:1"], ["app:2"], TAGS, ["built:1"]]
    assert [image["archived"] for image in listing["images"]] == [False] * 5
    assert sorted((each["name"], each["running"], each["kept"]) for each in listing["containers"]) == [
        ("Up.c_c", True, False),
        ("one", False, False),
        ("two", False, False),
    ]
    assert listing["archives"] == []
    assert 5 * 1048576 < listing["needed"] < listing["free"]


def test_check_mode_says_so_and_does_nothing(guest, before):
    for each in before:
        assert images(guest, image=each, check=True)["changed"]
    assert images(guest, container="Up.c_c", commit=True, check=True)["changed"]
    assert guest.ssh("ls /var/lib/direct-lvm", check=False).returncode != 0


def test_no_space_is_a_sentence_and_leaves_nothing(guest):
    guest.ssh("mkdir -p /mnt/small && mount -t tmpfs -o size=1M none /mnt/small")
    for check in (True, False):
        result = images(guest, image="base:1", dir="/mnt/small/images", check=check)
        assert result["failed"]
        assert "there is no space in /mnt/small/images for the archive of image base:1: 1 MiB are free and" in result["msg"]
        assert "image_archive_dir: " in result["way_out"]
    assert guest.ssh("ls /mnt/small").stdout == ""


def test_containers_are_kept_once(guest):
    for name, commit in (("Up.c_c", True), ("one", False)):
        first = images(guest, container=name, commit=commit)
        assert first["changed"], first
        assert not images(guest, container=name, commit=commit)["changed"]
        record = json.loads(guest.ssh("cat " + first["file"]).stdout)
        assert record[0]["Name"] == "/" + name
    assert guest.ssh("stat -c %%a %s %s/container-Up*" % (FOLDER, FOLDER)).stdout.split() == ["700", "600"]
    assert guest.ssh("docker inspect -f '{{.State.Status}}' Up.c_c").stdout.strip() == "running"


def test_every_image_is_saved_once_and_whole(guest, before):
    before.update(held(guest))  # the commit of Up.c_c
    assert len(before) == 6
    for each in before:
        assert images(guest, image=each)["changed"]
    for each in before:
        assert not images(guest, image=each)["changed"]
        assert images(guest, image=each, state="verified").get("failed") is None
    listing = images(guest)
    assert {each["id"]: each["tags"] for each in listing["archives"]} == before
    assert all(image["archived"] for image in listing["images"])
    assert listing["needed"] == 0
    assert "layer.tar -> ../" in guest.ssh("tar tvf %s" % images(guest, image="built:1", state="verified")["file"]).stdout


def test_a_new_tag_makes_the_archive_anew(guest, before):
    guest.ssh("docker tag app:2 app:latest")
    assert images(guest, image="app:2")["changed"]
    number = next(each for each, tags in before.items() if tags == ["app:2"])
    before[number] = ["app:2", "app:latest"]
    assert images(guest, image="app:latest", state="verified")["tags"] == ["app:2", "app:latest"]


def test_damage_is_noticed_and_not_loaded(guest):
    path = images(guest, image="app:1", state="verified")["file"]
    guest.ssh("cp %s /tmp/whole && printf x | dd of=%s bs=1 seek=1000000 conv=notrunc" % (path, path))
    guest.ssh("docker rm -f one two && docker rmi app:1")
    for state in ("verified", "loaded"):
        result = images(guest, image="app:1", state=state)
        assert "the image archive %s is damaged: layer 1 of 2" % path in result["msg"]
    # Why loading reads the archive first: base:1 has that layer, so Docker would not look at it.
    assert "Loaded image: app:1" in guest.ssh("docker load -i " + path).stdout
    guest.ssh("truncate -s 1000000 " + path)
    (cut,) = [each for each in images(guest)["archives"] if each["problem"]]
    assert "is damaged" in cut["problem"]
    assert "is damaged" in images(guest, image=cut["id"], state="loaded")["msg"]
    guest.ssh("mv /tmp/whole " + path)


def test_all_images_come_back_as_they_were(guest, before):
    guest.ssh(EMPTY)
    assert held(guest) == {}
    for each in before:
        assert images(guest, image=each, state="loaded", check=True)["changed"]
        assert images(guest, image=each, state="loaded")["changed"]
    assert held(guest) == before
    for each in before:
        assert not images(guest, image=each, state="loaded")["changed"]
    assert guest.ssh("docker run --rm --network none app:2 /bin/busybox cat /two").stdout == "two\n"


def test_an_archive_that_is_not_kept_goes_and_the_next_run_changes_nothing(guest):
    assert images(guest, image="built:1", state="loaded", keep=False, check=True)["changed"]
    assert images(guest, image="built:1", state="loaded", keep=False)["changed"]
    assert not images(guest, image="built:1", state="loaded", keep=False)["changed"]
    assert not any("built:1" in each["tags"] for each in images(guest)["archives"])


def test_a_tag_that_moved_is_told(guest):
    guest.ssh("docker tag app:2 app:1")
    result = images(guest, image="app:1", state="loaded")
    assert result["changed"]
    assert "tag app:1 named image sha256:" in str(result["warnings"])


def test_refusals_are_sentences(guest):
    for wanted, words in (
        ({"image": "no:1"}, "Docker has no image no:1"),
        ({"image": "no:1", "state": "loaded"}, "there is no archive of image no:1 in"),
        ({"container": "no"}, "Docker has no container no"),
        ({"container": "no", "state": "loaded"}, "a container cannot be loaded, only saved"),
    ):
        assert words in images(guest, **wanted)["msg"]
    assert "there is no thin pool" in smoke(guest)["msg"]
    guest.ssh("systemctl stop docker docker.socket")
    assert "docker.service is inactive" in images(guest, image="base:1")["msg"]
    listing = images(guest)
    assert (listing["active"], listing["images"], len(listing["archives"])) == (False, [], 5)
    guest.ssh("systemctl start docker")


def smoke(guest, **wanted):
    return run(guest, module="direct_lvm_smoke_test", **wanted)


def test_the_smoke_test_tells_that_docker_does_not_use_the_pool(guest):
    pool = run(guest)
    assert pool["changed"], pool
    result = smoke(guest)
    assert "a container wrote 16 MiB, and thin pool vgdocker-thinpool grew by 0 MiB only: Docker writes somewhere" in result["msg"]
    assert "smoke" not in guest.ssh("docker ps -a; docker images -a").stdout


def test_the_smoke_test_passes_on_the_pool(guest):
    guest.ssh(EMPTY)
    switched = run(guest, docker=True)
    assert switched["changed"], switched
    assert smoke(guest, check=True)["skipped"]
    measured = smoke(guest)
    assert measured["after_write"] - measured["before"] >= 16 * 1048576, measured
    assert measured["after_remove"] <= measured["after_write"] - 16 * 1048576
    assert "smoke" not in guest.ssh("docker ps -a; docker images -a").stdout


def test_a_neighbour_that_writes_does_not_disturb_the_smoke_test(guest):
    write = "while true; do dd if=/dev/zero of=/file bs=1M count=8 conv=fsync; sleep 1; done"
    guest.ssh(
        "docker import /usr/local/share/busybox.tar busy:1; docker run -d --network none --name busy busy:1 sh -c '%s'" % write
    )
    measured = smoke(guest)
    guest.ssh("docker rm -f busy; docker rmi busy:1")
    assert not measured.get("failed"), measured


def test_images_of_overlay2_load_on_the_pool_with_their_ids(guest, before):
    for archive in images(guest)["archives"]:
        images(guest, image=archive["id"], state="loaded")
        assert held(guest)[archive["id"]] == before[archive["id"]]
    assert guest.ssh("docker run --rm --network none app:2 /bin/busybox cat /two").stdout == "two\n"
