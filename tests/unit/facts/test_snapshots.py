"""Removing what containerd's snapshotter holds: children first, and by the garbage collection what does not go by name."""

import pytest

from module_utils.direct_lvm.facts import containerd
from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.model.errors import CommandFailed
from module_utils.direct_lvm.model.host import ADDRESS
from module_utils.direct_lvm.model.steps import DropSnapshots

ALWAYS = ("aa", "bb")


class Snapshotter:
    """Stands in for commands.run: a snapshotter with {key: parent} in one namespace; a parent goes when no child is left.

    stuck: keys that do not go by name.  labels: {digest: key}, content that keeps a stuck one from the garbage collection.
    """

    def __init__(self, monkeypatch, parents, stuck=(), labels=()):
        self.parents, self.stuck, self.asked, self.pauses = dict(parents), stuck, [], 0
        self.labels = dict(labels)
        monkeypatch.setattr(commands, "run", self.run)
        monkeypatch.setattr(containerd.time, "sleep", self.sleep)

    def sleep(self, _seconds):
        self.pauses += 1

    def run(self, argv, timeout=None, ok=(0,)):
        self.asked.append(argv)
        if "namespaces" in argv:
            return commands.Result(argv, 0, "moby\n", "")
        if argv[5] == "content":
            if argv[6] == "label":
                assert argv[8] == "containerd.io/gc.ref.snapshot.devmapper="
                del self.labels[argv[7]]
            rows = ["%s 303B 1m a=b,containerd.io/gc.ref.snapshot.devmapper=%s\n" % row for row in self.labels.items()]
            return commands.Result(argv, 0, "DIGEST SIZE AGE LABELS\nsha256:0 1B 1m a=b\n" + "".join(rows), "")
        if argv[5] == "leases":
            if argv[6:8] == ("rm", "--sync") and not self.labels:
                self.parents = {key: parent for key, parent in self.parents.items() if self.stuck is ALWAYS}
            return commands.Result(argv, 0, "", "")
        assert argv[3:8] == ("--namespace", "moby", "snapshots", "--snapshotter", "devmapper")
        if argv[8] == "ls":
            rows = ["%s  %s  Committed\n" % row for row in sorted(self.parents.items())]
            return commands.Result(argv, 0, "KEY PARENT KIND\n" + "".join(rows), "")
        key = argv[9]
        if key in self.stuck or key in self.parents.values():
            return commands.Result(argv, 1, "", "cannot remove snapshot with child")
        del self.parents[key]
        return commands.Result(argv, 0, "", "")


def test_all_snapshots_are_dropped_children_first(monkeypatch):
    fake = Snapshotter(monkeypatch, {"aa": "", "bb": "aa", "c1": "bb"})
    containerd.drop_snapshots(DropSnapshots(ADDRESS, "drop"))
    assert fake.parents == {}
    assert [argv[9] for argv in fake.asked if argv[8:9] == ("rm",)] == ["c1", "bb", "aa"]
    assert fake.pauses == 1


def test_nothing_to_drop_removes_nothing(monkeypatch):
    fake = Snapshotter(monkeypatch, {})
    containerd.drop_snapshots(DropSnapshots(ADDRESS, "drop"))
    assert fake.pauses == 0
    assert not any("rm" in argv for argv in fake.asked)


def test_what_does_not_go_by_name_goes_with_the_collection_once_no_image_holds_it(monkeypatch):
    fake = Snapshotter(monkeypatch, {"aa": ""}, stuck=("aa",), labels={"sha256:1": "aa"})
    containerd.drop_snapshots(DropSnapshots(ADDRESS, "drop"))
    assert (fake.parents, fake.labels, fake.pauses) == ({}, {}, 1)


def test_a_snapshot_that_cannot_be_removed_ends_the_dropping(monkeypatch):
    fake = Snapshotter(monkeypatch, {"aa": "", "bb": "aa"}, stuck=ALWAYS)
    with pytest.raises(CommandFailed, match="cannot remove snapshot with child"):
        containerd.drop_snapshots(DropSnapshots(ADDRESS, "drop"))
    assert fake.parents == {"aa": "", "bb": "aa"}
    assert fake.pauses == containerd.ROUNDS
