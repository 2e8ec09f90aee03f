"""What is returned to Ansible: it must be text, whatever is on the host's disk."""

import json

from module_utils.direct_lvm import report
from module_utils.direct_lvm.steps import RemoveFile, WriteFile


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
