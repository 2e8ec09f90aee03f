"""What is returned to Ansible: it must be text, whatever is on the host's disk."""

import json
import os
import pathlib
import re

import pytest
import states
from pools_on_disks import pool_on

from module_utils.direct_lvm.apply import apply, report
from module_utils.direct_lvm.model import steps as every
from module_utils.direct_lvm.model.host import Container, Content, Disk, Image
from module_utils.direct_lvm.model.steps import Command, RemoveFile, WriteFile
from module_utils.direct_lvm.texts import switch_record


def test_the_diff_of_a_database_that_is_removed_says_only_that_it_is_no_text(tmp_path):
    database = tmp_path / "metadata.db"
    database.write_bytes(b"\x00\xed\xda\x0c\xed" * 10)
    (shown,) = report.diff([RemoveFile(str(database), "it names nothing any more")])
    assert (shown["before"], shown["after"]) == ("no text, 50 bytes\n", "")
    json.dumps(shown).encode("utf-8")


def test_the_diff_of_a_text_is_the_text(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text("# caf\u00e9\n", encoding="utf-8")
    (shown,) = report.diff([WriteFile(str(path), "new\n", "test")])
    assert (shown["before"], shown["after"]) == ("# caf\u00e9\n", "new\n")


def test_a_private_file_is_not_shown(tmp_path):
    assert report.diff([WriteFile(str(tmp_path / "switch.json"), "secret", "test", 0o600)]) == []


STOPPED = "has stopped at %s %%: no process of LVM sees to it any more."
NO_MOVE = {
    "under_way": False,
    "percent": 100,
    "sentence": "has stopped: LVM has none under way any more, it was taken back or failed.",
}
STILL = "is still at %s %%: it has not ended within the time of thin_pool_move_timeout."


@pytest.mark.parametrize(
    ("percent", "watched", "shown", "sentence"),
    [
        (0.0, True, 0, STILL % 0.0),
        (43.2, True, 43.2, STILL % 43.2),
        (99.9, True, 99, STILL % 99.9),
        (100.0, True, 99, STILL % 100.0),
        (None, True, 0, STILL % "?"),
        (43.2, False, 100, STOPPED % 43.2),
        (None, False, 100, STOPPED % "?"),
    ],
)
def test_how_a_move_is(percent, watched, shown, sentence):
    host = pool_on("/dev/vdb", "/dev/vdc", moving=40.0)
    lvs = tuple(lv._replace(moved_percent=percent) if lv.moved_from else lv for lv in host.lvm.lvs)
    moves = report.summary(states.ARTICLE, host._replace(lvm=host.lvm._replace(lvs=lvs)), watched)["vg"]["moves"]
    assert moves == {"/dev/vdb": {"under_way": True, "percent": shown, "sentence": sentence}, "/dev/vdc": NO_MOVE}


@pytest.mark.parametrize("watched", [True, False])
def test_without_a_move_there_is_nothing_to_wait_for(watched):
    assert report.summary(states.ARTICLE, pool_on("/dev/vdb"), watched)["vg"]["moves"] == {"/dev/vdb": NO_MOVE}


def test_the_host_tells_what_an_operator_must_know():
    told = report.summary(states.ARTICLE, states.host("bookworm", "00-blank"), block_devices={"vdb": "disk"})
    assert told["warnings"] == ["There is no thin pool vgdocker/thinpool. Run playbooks/site.yml."]
    assert (told["danger"], told["block_devices"]) == ({"pool": "warning"}, {"vdb": "disk"})


SECRET = "http://user:s3cret@proxy.example.com:3128"


def text_of(shown):
    """All that a diff tells."""
    return json.dumps(shown)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400])
@pytest.mark.parametrize("step", [lambda path: RemoveFile(path, "test"), lambda path: WriteFile(path, "new\n", "test", None)])
def test_a_file_that_others_may_not_read_is_not_shown_when_it_goes_or_changes_either(tmp_path, step, mode):
    path = tmp_path / "daemon.json"
    path.write_text("secret")
    os.chmod(str(path), mode)
    assert report.diff([step(str(path))]) == []


def test_the_record_of_a_switch_is_never_shown(tmp_path, monkeypatch):
    record = tmp_path / "switch.json"
    record.write_text(SECRET)
    monkeypatch.setattr(switch_record, "PATH", str(record))
    steps = (RemoveFile(str(record), "test"), WriteFile(str(record), SECRET, "test", 0o644))
    assert report.diff(steps) == []


def test_of_daemon_json_only_what_changes_is_shown(tmp_path):
    path = tmp_path / "daemon.json"
    kept = {"proxies": {"http-proxy": SECRET}, "log-opts": {"splunk-token": "t0ken"}}
    path.write_text(json.dumps(dict(kept, **{"storage-driver": "overlay2"})))
    after = dict(kept, **{"storage-driver": "devicemapper", "x": None})
    (shown,) = report.diff([WriteFile(str(path), json.dumps(after), "test", None)])
    assert json.loads(shown["before"]) == {"storage-driver": "overlay2"}
    assert json.loads(shown["after"]) == {"storage-driver": "devicemapper", "x": None}


@pytest.mark.parametrize(
    "address", [SECRET, SECRET.replace("/", "\\/"), "socks5://user:p@s3cret@proxy", "http://user:it's3cret@proxy"]
)
def test_no_password_in_an_address_is_shown(tmp_path, address):
    path = tmp_path / "daemon.conf"
    path.write_text("ExecStart=dockerd --http-proxy=%s\n" % address)
    shown = report.diff([RemoveFile(str(path), "test"), Command(("docker", "--http-proxy", address), "test")])
    assert "s3cret" not in text_of(shown)
    assert "proxy" in text_of(shown)
    assert report.without_passwords("https://example.com/a@b user@host") == "https://example.com/a@b user@host"


IMAGE, CONTAINER = Image("sha256:1", ("app:1",), 7), Container("c1", "web", "app:1", "Up", True)
MODULE = pathlib.Path(__file__).resolve().parents[3] / "library" / "direct_lvm.py"
STEPS = [
    (Command(("pvcreate", "/dev/sdb"), "test"), "command", {"argv": ["pvcreate", "/dev/sdb"]}),
    (Command(("lvconvert", "--repair"), "test", kind=every.REPAIR), "repair_metadata", {"argv": ["lvconvert", "--repair"]}),
    (WriteFile("/x", "text", "test"), "write_file", {"file": "/x"}),
    (RemoveFile("/x", "test"), "remove_file", {"file": "/x"}),
    (every.StageFiles((WriteFile("/x", "", "test"), WriteFile("/y", "", "test")), "test"), "check", {"check": "space for /x, /y"}),
    (every.Move("/x", "/y", "test"), "rename", {"move": ["/x", "/y"]}),
    (every.RemoveTree("/x", 7, "test"), "remove_tree", {"remove": "/x", "size": 7}),
    (every.AssertBlank("/dev/sdb", "test"), "check", {"check": "/dev/sdb"}),
    (every.AssertUnchanged(Disk("sdb", "/dev/sdb"), "test"), "check", {"check": "/dev/sdb"}),
    (every.AssertContent("/x", Content(), None, "moby", False, "test"), "check", {"check": "what Docker holds"}),
    (every.CheckConfiguration("containerd", None, "", "pool", "test"), "check", {"check": "containerd config dump"}),
    (every.WaitForDocker("unix:///x", "test", 1), "wait", {"check": "docker info"}),
    (every.WaitForContainerd("/x", "test", 1), "wait", {"check": "ctr plugins ls"}),
    (every.Replan("test"), "plan_again", {"check": "docker images"}),
    (every.ArchiveImage("unix:///x", IMAGE, "/x", "test"), "archive_image", {"archive": "sha256:1"}),
    (every.LoadImage("unix:///x", IMAGE, "/x", True, "test"), "load_image", {"load": "sha256:1"}),
    (every.KeepContainer("unix:///x", CONTAINER, "/x", True, "test"), "keep_container", {"keep": "c1"}),
    (
        every.StartContainers("unix:///x", "/x", ("c1",), 1, "test"),
        "start_containers",
        {"argv": ["docker", "--host", "unix:///x", "start", "c1"]},
    ),
    (every.StartContainers("unix:///x", "/x", (), 1, "test"), "start_containers", {"check": "docker ps"}),
    (every.UntilMoved("/dev/sdb", "test"), "move_data", {"moves": "/dev/sdb"}),
    (
        every.RemoveThinDevices("pool", "test"),
        "remove_thin_devices",
        {"argv": ["dmsetup", "remove", "--retry", "(each thin device of pool)"]},
    ),
    (
        every.FillPool("unix:///x", "/x", "/c", "dockerd", (), ("sha256:1",), (("c1", "sha256:1"),), (), (), 1, "test"),
        "fill_pool",
        {"images": ["sha256:1"], "containers": ["c1"]},
    ),
    (every.BringLayers("/x", "pool", ("c1",), "test"), "bring_layers", {"containers": ["c1"]}),
    (every.CopyImageRecords("/x", "overlay2", "test"), "copy_records", {"copy": "/x/image/overlay2"}),
    (every.SetDriver("/x", ("c1",), "devicemapper", "overlay2", (), "test"), "set_driver", {"containers": ["c1"]}),
    (every.AssertKept("unix:///x", "/x", (), (), "test"), "check", {"check": "docker images, docker ps"}),
    (every.DropSnapshots("/x", "test"), "remove_snapshots", {"argv": ["ctr", "snapshots", "--snapshotter", "devmapper", "rm"]}),
]


@pytest.mark.parametrize(("step", "kind", "about"), STEPS, ids=lambda value: type(value).__name__)
def test_how_a_step_is_told(step, kind, about):
    assert report.describe([step]) == [dict(about, kind=kind, why="test")]


def test_sections_are_opened_up():
    switch = every.Transaction((STEPS[0][0], every.IfFails(STEPS[0][0], (1,), (RemoveFile("/x", "test"),))), (), "test")
    assert [line["kind"] for line in report.describe([switch])] == ["command", "command", "remove_file"]


def test_no_step_is_forgotten():
    """Each is told and carried out, and its kind and the keys of what it is about are documented."""
    planned = {step for step in vars(every).values() if hasattr(step, "why")}
    sections, ends = {every.Transaction}, {every.Replan, every.UntilMoved}
    told = {type(step) for step, _kind, _about in STEPS}
    assert told == {step for step in planned if hasattr(step, "about")} == planned - sections
    assert set(apply.EFFECTS) == planned - sections - ends
    documented = MODULE.read_text().split('RETURN = r"""')[1].split("to_come:")[0]
    assert set(re.findall(r"V\((\w+)\)", documented)) == {kind for _step, kind, _about in STEPS}
    keys = {key for _step, _kind, about in STEPS for key in about}
    assert set(re.findall(r"C\((\w+)\)", documented)) == keys | {"kind", "why"}
