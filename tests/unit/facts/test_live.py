"""What a switch that keeps the containers needs to know, from a made-up data root."""

import json
import pathlib

import pytest
from docker_hosts import UNIT

from module_utils.direct_lvm.facts import live
from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Container, Docker, SwitchRecord
from module_utils.direct_lvm.model.names import OURS, SHADOW

ROOT = pathlib.Path(__file__).resolve().parents[3]
RECORDS = {one["name"]: one for one in json.loads((ROOT / "tests/recorded/docker/containers-20.10.24.json").read_text())}
CONFIG, HOST = RECORDS["plain"]["config"], RECORDS["plain"]["hostconfig"]
NUMBER, OTHER = json.loads(CONFIG)["ID"], "9" * 64


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A Docker with one recorded container, whose daemon has all flags."""
    for number in (NUMBER, OTHER):
        folder = tmp_path / "containers" / number
        folder.mkdir(parents=True)
        (folder / "config.v2.json").write_text(CONFIG.replace(NUMBER, number))
        (folder / "hostconfig.json").write_text(HOST)
    printed = "  %s string  text\n" % "\n  ".join(live.FLAGS)
    monkeypatch.setattr(commands, "run", lambda argv, **_more: commands.Result(argv, 0, printed, ""))
    monkeypatch.setattr(commands, "find", lambda name: "/usr/sbin/" + name)
    monkeypatch.setattr(live, "docker_address", lambda _docker: "/run/containerd/containerd.sock")
    return Docker("20.10.24", UNIT, root=str(tmp_path), containers=(Container(NUMBER, "web", "app:1", "Up", True),))


def test_the_records_of_listed_containers_are_read(docker):
    seen = live.observe(docker, "dockerd")
    assert [one.id for one in seen.records] == [NUMBER]
    assert (seen.program, seen.lacks, seen.layers, seen.shadow, seen.transaction) == ("/usr/sbin/dockerd", (), (), "", None)


def test_those_of_a_switch_that_was_cut_off_too_and_one_that_is_gone_is_none(docker):
    kept = ((OTHER, "running"), (NUMBER, ""), ("8" * 64, "running"))
    seen = live.observe(docker._replace(former=SwitchRecord("begun", "overlay2", kept=kept)), "dockerd")
    assert [one.id for one in seen.records] == [NUMBER, OTHER]
    seen = live.observe(docker._replace(former=SwitchRecord("done", "overlay2", kept=kept)), "dockerd")
    assert [one.id for one in seen.records] == [NUMBER]


def test_a_flag_that_dockerd_lacks_is_told(docker, monkeypatch):
    monkeypatch.setattr(commands, "run", lambda argv, **_more: commands.Result(argv, 0, "--bridge-x --data-root", ""))
    assert "--bridge" in live.observe(docker, "dockerd").lacks
    assert "--data-root" not in live.observe(docker, "dockerd").lacks
    assert live.observe(docker, None).lacks == live.FLAGS


def test_what_a_container_wrote_is_looked_at_before_anything_is_done(docker, tmp_path, monkeypatch):
    mounts = tmp_path / "image/overlay2/layerdb/mounts" / NUMBER
    mounts.mkdir(parents=True)
    (mounts / "mount-id").write_text("layer")
    (tmp_path / "overlay2/layer/diff").mkdir(parents=True)
    looked = []

    def check(layer):
        looked.append(layer)
        raise Refused("x", "y")

    monkeypatch.setattr(live.writable_layer, "check_layer", check)
    with pytest.raises(Refused):
        live.observe(docker, "dockerd")
    assert looked == [str(tmp_path / "overlay2/layer/diff")]


@pytest.mark.parametrize(
    ("folders", "state"),
    [
        ((), ""),
        ((SHADOW + "/containers",), "idle"),
        ((SHADOW + "/containers", SHADOW + "/" + live.USED), "used"),
        ((SHADOW + "/devicemapper", SHADOW + "/" + live.USED), "unfinished"),
    ],
)
def test_how_it_is_with_the_second_daemon(docker, tmp_path, folders, state):
    for name in folders:
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ("image/devicemapper" + OURS) / "layerdb/mounts" / NUMBER).mkdir(parents=True)
    (tmp_path / ("image/devicemapper" + OURS) / "layerdb/mounts" / "lost+found").mkdir()
    seen = live.observe(docker, "dockerd")
    assert (seen.shadow, seen.layers) == (state, (NUMBER,))


def test_the_second_daemons_transaction_is_read(docker, tmp_path):
    (tmp_path / SHADOW / "devicemapper/metadata").mkdir(parents=True)
    (tmp_path / SHADOW / "devicemapper/metadata/transaction-metadata").write_text('{"open_transaction_id": 7}')
    assert live.observe(docker, "dockerd").transaction == 7


def test_what_layers_have_is_counted_once_and_what_containers_wrote(docker, tmp_path):
    for name, size in (("1" * 64, "1000"), ("2" * 64, "200\n")):
        (tmp_path / "image/overlay2/layerdb/sha256" / name).mkdir(parents=True)
        (tmp_path / "image/overlay2/layerdb/sha256" / name / "size").write_text(size)
    (tmp_path / "image/overlay2/layerdb/mounts" / NUMBER).mkdir(parents=True)
    (tmp_path / "image/overlay2/layerdb/mounts" / NUMBER / "mount-id").write_text("layer")
    (tmp_path / "overlay2/layer/diff").mkdir(parents=True)
    (tmp_path / "overlay2/layer/diff/file").write_bytes(b"x" * 100000)
    seen = live.observe(docker, "dockerd")
    assert seen.unique == 1200
    assert [number for number, _size in seen.written] == [NUMBER]
    assert 100000 <= seen.written[0][1] < 200000


def test_records_of_other_versions_are_not_read(docker, tmp_path):
    (tmp_path / "containers" / NUMBER / "config.v2.json").write_text("{}")
    assert live.observe(docker._replace(version="19.03.15"), "dockerd").records == ()
    with pytest.raises(Refused):
        live.observe(docker, "dockerd")


def test_the_second_daemons_folder_tells_for_whom_it_made_what(docker, tmp_path):
    for number, labels in (("1" * 64, {live.LABEL: NUMBER}), ("2" * 64, {}), ("3" * 64, None)):
        (tmp_path / SHADOW / "containers" / number).mkdir(parents=True)
        (tmp_path / SHADOW / "containers" / number / "config.v2.json").write_text(json.dumps({"Config": {"Labels": labels}}))
    (tmp_path / SHADOW / "containers" / ("4" * 64)).mkdir()
    assert live.observe(docker, "dockerd").known == (NUMBER,)
