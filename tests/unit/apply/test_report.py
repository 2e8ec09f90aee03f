"""What is returned to Ansible: it must be text, whatever is on the host's disk."""

import json
import os

import pytest

from module_utils.direct_lvm.apply import report
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
