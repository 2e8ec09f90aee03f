"""Docker's own records of containers and images, handed over to another graph driver, in a made-up data root."""

import json
import os

import pytest

from module_utils.direct_lvm.apply import kept_containers
from module_utils.direct_lvm.facts import live
from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.model import steps
from module_utils.direct_lvm.model.errors import CommandFailed, Refused
from module_utils.direct_lvm.model.names import FORMER, OURS

WEB, OLD = "c" * 64, "a" * 64


@pytest.fixture
def root(tmp_path):
    """A data root with two containers on overlay2."""
    for number in (WEB, OLD):
        folder = tmp_path / "containers" / number
        folder.mkdir(parents=True)
        record = {"ID": number, "Driver": "overlay2", "HasBeenManuallyStopped": True, "Other": {"Driver": "local"}}
        (folder / "config.v2.json").write_text(json.dumps(record))
    return tmp_path


def record(root, number):
    """What a container's record says."""
    return json.loads((root / "containers" / number / "config.v2.json").read_text())


def set_driver(root, driver, former):
    """Have both containers belong to a driver; only the first one ran."""
    kept_containers.set_driver(steps.SetDriver(str(root), (WEB, OLD, "f" * 64), driver, former, (WEB,), "why"))


def test_records_change_sides_there_and_back_and_the_former_one_is_kept(root):
    before = (root / "containers" / WEB / "config.v2.json").read_text()
    for _again in range(2):
        set_driver(root, "devicemapper", "overlay2")
        assert [record(root, number)["Driver"] for number in (WEB, OLD)] == ["devicemapper"] * 2
    assert record(root, WEB)["Other"] == {"Driver": "local"}
    assert [record(root, number)["HasBeenManuallyStopped"] for number in (WEB, OLD)] == [False, True]
    assert (root / "containers" / WEB / ("config.v2.json" + FORMER)).read_text() == before
    assert os.stat(str(root / "containers" / WEB / "config.v2.json")).st_mode & 0o077 == 0
    set_driver(root, "overlay2", "devicemapper")
    assert record(root, OLD) == json.loads(before.replace(WEB, OLD))


def test_on_the_way_back_nothing_is_written_unless_docker_wrote_meanwhile(root, monkeypatch):
    set_driver(root, "devicemapper", "overlay2")
    changed = root / "containers" / OLD / "config.v2.json"
    changed.write_text(changed.read_text().replace('"local"', '"other"'))
    written = []
    put = kept_containers.staged.put_text
    monkeypatch.setattr(kept_containers.staged, "put_text", lambda path, *more: written.append(path) or put(path, *more))
    set_driver(root, "overlay2", "devicemapper")
    assert written == [str(changed)]
    assert [record(root, number)["Driver"] for number in (WEB, OLD)] == ["overlay2"] * 2
    assert record(root, OLD)["Other"] == {"Driver": "other"}
    assert not (root / "containers" / WEB / ("config.v2.json" + FORMER)).exists()


def test_a_copy_that_does_not_fit_leaves_nothing(root, monkeypatch):
    (root / "image/overlay2/imagedb").mkdir(parents=True)
    new = root / ("image/devicemapper" + OURS) / "imagedb.new"

    def run(argv, **_more):
        new.mkdir(parents=True)
        raise CommandFailed(argv, "failed with return code 1", "No space left on device")

    monkeypatch.setattr(commands, "run", run)
    with pytest.raises(CommandFailed):
        kept_containers.copy_image_records(steps.CopyImageRecords(str(root), "overlay2", "why"))
    assert not new.exists()


def test_the_pools_side_gets_the_records_of_all_images_and_loses_its_own(root):
    source, target = root / "image/overlay2", root / ("image/devicemapper" + OURS)
    for folder, name in ((source, "parent"), (target, "loaded")):
        (folder / "imagedb/content/sha256").mkdir(parents=True)
        (folder / "imagedb/content/sha256" / name).write_text(name)
        (folder / "repositories.json").write_text(name)
    (source / "distribution").mkdir()
    (target / "imagedb.new").mkdir()  # of a run that was cut off
    for _again in range(2):
        kept_containers.copy_image_records(steps.CopyImageRecords(str(root), "overlay2", "why"))
    assert [path.name for path in (target / "imagedb/content/sha256").iterdir()] == ["parent"]
    assert (target / "repositories.json").read_text() == "parent"
    assert sorted(path.name for path in target.iterdir()) == ["distribution", "imagedb", "repositories.json"]


def test_what_docker_does_not_accept_is_named_and_what_was_removed_is_not_missed(root, monkeypatch):
    answers = {"images": "sha256:1\n", "ps": WEB + "\n"}
    monkeypatch.setattr(commands, "run", lambda argv, **_more: commands.Result(argv, 0, answers[argv[3]], ""))
    kept_containers.assert_kept(steps.AssertKept("unix:///s", str(root), ("sha256:1",), (WEB, "f" * 64), "why"))
    with pytest.raises(Refused) as refusal:
        kept_containers.assert_kept(steps.AssertKept("unix:///s", str(root), ("sha256:1",), (WEB, OLD), "why"))
    assert "1 of its images and containers on the pool, " + OLD in refusal.value.what


def test_layers_are_written_only_for_containers_that_changed_something_and_are_noted_as_used(root, monkeypatch):
    for number, name in ((WEB, "changed"), (OLD, "as-made")):
        (root / "image/overlay2/layerdb/mounts" / number).mkdir(parents=True)
        (root / "image/overlay2/layerdb/mounts" / number / "mount-id").write_text(name)
        (root / "overlay2" / name / "diff").mkdir(parents=True)
        (root / ("image/devicemapper" + OURS) / "layerdb/mounts" / number).mkdir(parents=True)
        (root / ("image/devicemapper" + OURS) / "layerdb/mounts" / number / "mount-id").write_text(name)
    (root / "overlay2/changed/diff/file").write_text("x")
    metadata = root / ("devicemapper" + OURS) / "metadata"
    metadata.mkdir(parents=True)
    (metadata / "changed").write_text('{"device_id": 4, "size": 10737418240}')
    (root / "direct-lvm-shadow").mkdir()
    (root / "there/rootfs").mkdir(parents=True)
    monkeypatch.setattr(kept_containers, "POINT", str(root / "there"))
    ran = []

    def run(argv, **_more):
        ran.append(" ".join(argv))
        return commands.Result(argv, 0, "xfs\n" if argv[0] == "blkid" else "", "")

    monkeypatch.setattr(commands, "run", run)
    step = steps.BringLayers(str(root), "vg-pool", (WEB, OLD), "why")
    kept_containers.bring_layers(step)
    assert (root / "there/rootfs/file").read_text() == "x"
    assert ran[0] == "dmsetup create direct-lvm-layer --table 0 20971520 thin /dev/mapper/vg-pool 4"
    assert [line for line in ran if line.startswith("mount")] == [
        "mount --types xfs --options nodev,nosuid,noexec,nouuid /dev/mapper/direct-lvm-layer %s" % (root / "there")
    ]
    assert [line.split()[0] for line in ran[-2:]] == ["umount", "dmsetup"]
    assert live.shadow(str(root)) == "used"
    (metadata / "changed").write_text("{}")
    with pytest.raises(Refused, match="cannot be read"):
        kept_containers.bring_layers(step)
