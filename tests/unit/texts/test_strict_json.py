"""JSON that is read is JSON that can be written again; and files of which nobody knows how large they are."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from module_utils.direct_lvm.facts import systemd
from module_utils.direct_lvm.host import files
from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.texts import daemon_json, strict_json

# --- JSON --------------------------------------------------------------------------------------------------------


@given(st.recursive(st.one_of(st.none(), st.booleans(), st.integers(-(10**38), 10**38), st.floats(), st.text()), st.lists))
def test_what_is_json_is_read_as_json(value):
    text = json.dumps(value)
    if "NaN" in text or "Infinity" in text:
        return
    assert strict_json.loads(text) == value


@pytest.mark.parametrize("depth", [strict_json.DEPTH - 1, strict_json.DEPTH, strict_json.DEPTH + 1, 5000, 200000])
def test_how_deep_json_may_be(depth):
    text = "[" * depth + "]" * depth
    if depth <= strict_json.DEPTH:
        assert json.dumps(strict_json.loads(text), indent=1)
    else:
        with pytest.raises(ValueError, match="nested too deeply"):
            strict_json.loads(text)


def test_a_files_bytes_that_are_no_utf_8_come_back_from_a_record():
    text = b"\xff".decode("utf-8", "surrogateescape")
    assert strict_json.loads(json.dumps(text)) == text


def test_wide_json_is_not_deep():
    assert len(strict_json.loads("[%s]" % ", ".join(['{"a": []}'] * 1000))) == 1000


# --- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [('{"a": %s}' % ("[" * 900 + "]" * 900), "nested too deeply"), ('{"a": 1e999}', "1e999 is too large"),
     ('{"a": Infinity}', "JSON number"),
     ('{"a": "\\ud800"}', "surrogates"), ('{"a": %s}' % ("9" * 4000), "4000 digits")],
    ids=["deep", "too-large", "infinity", "half-a-character", "digits"],
)  # fmt: skip
def test_what_docker_would_not_read_of_daemon_json_is_not_written_again(text, words):
    with pytest.raises(ValueError, match=words):
        daemon_json.merge(text, '{"storage-driver": "devicemapper"}')


def test_a_large_file_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "large").write_text("x" * 1001)
    monkeypatch.setattr(files, "LIMIT", 1000)
    monkeypatch.setattr(systemd, "LIMIT", 1000)
    with pytest.raises(OSError, match="File too large: .*/large"):
        files.read_text(str(tmp_path / "large"))
    with pytest.raises(Refused, match=r"/large cannot be read \(File too large\)"):
        systemd.read_text(str(tmp_path / "large"))
    (tmp_path / "large").write_text("x" * 1000)
    assert files.read_text(str(tmp_path / "large")) == systemd.read_text(str(tmp_path / "large")) == "x" * 1000


def test_an_endless_file_is_not_read(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "LIMIT", 1 << 20)
    monkeypatch.setattr(systemd, "LIMIT", 1 << 20)
    with pytest.raises(OSError, match="File too large"):
        files.read_text("/dev/zero")
    with pytest.raises(Refused, match="no regular file"):
        systemd.read_text("/dev/zero")
    (tmp_path / "large").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(Refused, match="File too large"):
        systemd.read_text(str(tmp_path / "large"))
