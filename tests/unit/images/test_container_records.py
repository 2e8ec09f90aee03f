"""Containers that a change of the storage driver leaves behind: their records, and the images made of them."""

import json
import os
import re

import pytest
from fake_docker import HOST, FakeDocker
from hypothesis import given
from hypothesis import strategies as st
from states import recorded

from module_utils.direct_lvm.images import container_records
from module_utils.direct_lvm.model import archives
from module_utils.direct_lvm.model.errors import Changed, Refused
from module_utils.direct_lvm.model.host import Container


def test_a_container_is_kept_once_and_for_root_only(monkeypatch, tmp_path):
    docker, folder = FakeDocker(monkeypatch), str(tmp_path / "f")
    docker.container = json.loads(recorded("docker", "inspect-container-20.10.24.json"))[0]
    number = docker.container["Id"]
    assert container_records.save_container(HOST, number, folder, False, 60)
    assert os.listdir(folder) == ["container-Up.c_c-39a9596b2b79.json"]
    path = os.path.join(folder, os.listdir(folder)[0])
    assert os.stat(path).st_mode & 0o777 == 0o600
    with open(path, encoding="utf-8") as stream:
        assert json.load(stream) == [docker.container]
    docker.container["State"]["Pid"] = 9
    docker.container["NetworkSettings"]["SandboxID"] = "x"
    assert not container_records.save_container(HOST, number, folder, False, 60)
    docker.container["HostConfig"]["Memory"] = 1 << 30
    assert container_records.save_container(HOST, number, folder, False, 60)
    assert docker.verbs() == []


def test_a_commit_is_made_anew_only_after_a_later_start_or_end(monkeypatch, tmp_path):
    docker = FakeDocker(monkeypatch)
    docker.container = json.loads(recorded("docker", "inspect-container-20.10.24.json"))[0]
    number = docker.container["Id"]
    assert container_records.save_container(HOST, number, str(tmp_path), True, 60)
    assert docker.asked[-1] == ["commit", number, "direct-lvm/up-c-c:39a9596b2b79"]
    assert not container_records.save_container(HOST, number, str(tmp_path), True, 60)
    docker.container["State"]["FinishedAt"] = "2026-11-25T03:00:00.09Z"
    assert not container_records.save_container(HOST, number, str(tmp_path), True, 60)
    docker.container["State"]["FinishedAt"] = "2026-11-25T03:00:00.11Z"
    assert container_records.save_container(HOST, number, str(tmp_path), True, 60)
    assert docker.verbs() == ["commit", "commit"]


def test_a_record_that_is_no_json_is_written_anew(monkeypatch, tmp_path):
    fields = json.loads(recorded("docker", "inspect-container-20.10.24.json"))[0]
    for text in ("", "x", "[]", "[1]", "{}", "null"):
        (tmp_path / "container-Up.c_c-39a9596b2b79.json").write_text(text)
        assert not container_records.is_kept(str(tmp_path), fields)


def test_a_container_that_is_gone_changes_the_plan_and_a_name_of_none_is_refused(monkeypatch, tmp_path):
    FakeDocker(monkeypatch)
    with pytest.raises(Changed, match="was removed while it was to be kept"):
        container_records.save_container(HOST, "0" * 64, str(tmp_path), True, 60)
    with pytest.raises(Refused, match="Docker has no container web"):
        container_records.save_container(HOST, "web", str(tmp_path), True, 60)


@given(st.text(alphabet="abzABZ019_.-", min_size=1, max_size=40))
def test_every_container_name_makes_a_repository_name(name):
    tag = archives.commit_tag(Container("0123456789abcdef", name, "", "", False))
    component = "[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"  # distribution/reference
    assert re.match("^%s/%s:0123456789ab$" % (component, component), tag)
