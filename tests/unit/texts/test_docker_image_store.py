"""What else is set in Docker's configuration when the image store takes the place of the graph driver."""

import pytest
import states
from docker_settings import DEFAULT, JSON, MINE, OURS, dropin, unit

from module_utils.direct_lvm.facts import docker
from module_utils.direct_lvm.model.host import DockerInfo
from module_utils.direct_lvm.model.spec import DockerStorage
from module_utils.direct_lvm.texts import docker_conflicts as conflicts

OPTIONS = '{"storage-driver": "devicemapper", "storage-opts": ["dm.thinpooldev=/dev/mapper/x", "dm.fs=xfs"]}'
FOREIGN = (OURS, "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd\n")
LATER = dropin("zz.conf", "ExecStart=", "ExecStart=/usr/bin/dockerd")
SITUATIONS = {  # unit, daemon.json, what the EnvironmentFile adds: words of the sentences
    "stock": (unit(), None, "", []),
    "harmless-daemon-json": (unit(), '{"log-driver": "journald"}', "", []),
    "as-we-write-it": (unit(), '{"features": {"containerd-snapshotter": true}, "storage-driver": "devmapper"}', "", []),
    "store-is-off": (unit(), '{"features": {"containerd-snapshotter": false}}', "", []),
    "driver-in-daemon-json-is-ours-to-change": (unit(), '{"storage-driver": "overlay2"}', "", []),
    "other-drivers-options": (unit(), '{"storage-opts": ["overlay2.size=1G"]}', "", []),
    "our-dropin-of-the-graph-driver": (unit(dropins=[MINE]), None, "", []),
    "foreign-dropin-at-our-path": (unit(dropins=[FOREIGN]), None, "", []),
    "later-dropin": (unit(dropins=[LATER]), None, "", []),
    "graph-drivers-options-left-over": (
        unit(),
        OPTIONS,
        "",
        [("dm.thinpooldev=/dev/mapper/x, dm.fs=xfs", JSON, "Take `storage-opts`")],
    ),
    "graph-drivers-options-on-the-command-line": (
        unit(),
        None,
        "--storage-opt dm.fs=xfs",
        [(DEFAULT, "--storage-opt dm.fs=xfs", JSON + " sets storage too")],
    ),
    "driver-on-the-command-line": (unit(), None, "-s overlay2", [(DEFAULT, "--storage-driver overlay2")]),
    "another-feature-on-the-command-line": (
        unit(),
        None,
        "--feature cdi=true",
        [(DEFAULT, "--feature cdi=true", "under `features`")],
    ),
    "the-store-on-the-command-line": (
        unit(),
        "{}",
        "--feature=containerd-snapshotter",
        [("--feature containerd-snapshotter", JSON)],
    ),
    "daemon-json-is-none": (unit(), "{", "", [(JSON + " is not valid JSON",)]),
    "masked": (unit(load="masked"), None, "", [("systemctl unmask docker",)]),
}


@pytest.mark.parametrize("situation", sorted(SITUATIONS))
def test_situation(situation):
    found, daemon_json, flags, expected = SITUATIONS[situation]
    environment = {DEFAULT: "DOCKER_OPTS='%s'\n" % flags}
    sentences = conflicts.find_conflicts(found, daemon_json, environment, OURS, "26.1.5", "image_store")
    assert len(sentences) == len(expected), "\n".join(sentences)
    for sentence, words in zip(sentences, expected):
        assert [word for word in words if word not in sentence] == [], sentence


def test_the_other_way_round_the_store_stands_in_the_graph_drivers_way():
    text = '{"features": {"containerd-snapshotter": true}}'
    for config, where in (("dropin", OURS), ("daemon_json", JSON)):
        (sentence,) = conflicts.find_conflicts(unit(), text, {}, OURS, "24.0.7", config)
        assert "storage driver that %s sets" % where in sentence


WANTED = DockerStorage("auto", OURS)
ON_STORE = DockerInfo("26.1.5", "devmapper", (("driver-type", "io.containerd.snapshotter.v1"),), "/var/lib/docker", 0, 0)


@pytest.mark.parametrize(
    ("engine", "info", "settled"),
    [
        ("auto", ON_STORE, True),
        ("docker-devmapper", ON_STORE, True),
        ("auto", ON_STORE._replace(driver="overlayfs"), False),
        ("auto", ON_STORE._replace(driver="overlay2", status=()), False),
        ("devicemapper", ON_STORE, False),
        ("containerd", ON_STORE, False),
    ],
    ids=["auto", "chosen", "another-snapshotter", "graph-driver", "another-engine-asked", "docker-is-to-be-left"],
)
def test_docker_on_the_snapshotter_is_not_asked_for_more(engine, info, settled):
    assert docker.is_settled(info, WANTED._replace(engine=engine), states.ARTICLE, unit(), None) == settled
