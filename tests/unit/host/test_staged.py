"""Files that are staged while a daemon serves: only what is wanted to the last byte is used, and nothing is left."""

import os

import pytest

from module_utils.direct_lvm.host import files, staged

NEW = "daemon.json" + files.SUFFIX


@pytest.fixture
def path(tmp_path):
    return tmp_path / "etc" / "daemon.json"


@pytest.fixture
def writes(monkeypatch):
    """The files that were written, by their names."""
    names, real = [], files.temporary

    def temporary(path, folder):
        names.append(os.path.basename(path))
        return real(path, folder)

    monkeypatch.setattr(files, "temporary", temporary)
    return names


@pytest.mark.parametrize("former", [None, "{}"], ids=["no-file", "a-file"])
def test_what_was_staged_gets_its_name_and_nothing_is_written(path, writes, former):
    if former:
        path.parent.mkdir()
        path.write_text(former)
        path.chmod(0o640)
    staged.stage(str(path), "new\n", None)
    assert (path.read_text() if path.exists() else None) == former
    assert (path.parent / NEW).read_text() == "new\n"
    staged.put_text(str(path), "new\n", None)
    assert (path.read_text(), writes, os.listdir(str(path.parent))) == ("new\n", ["daemon.json"], ["daemon.json"])
    assert path.stat().st_mode & 0o777 == (0o640 if former else 0o644)


@pytest.mark.parametrize(
    "change",
    [
        lambda new: new.write_text("other\n"),
        lambda new: new.chmod(0o666),
        lambda new: os.link(str(new), str(new) + ".link"),
        lambda new: (new.unlink(), new.symlink_to("/etc/passwd")),
        lambda new: new.unlink(),
    ],
    ids=["another-text", "another-mode", "a-second-name", "a-link", "gone"],
)
def test_what_is_not_as_it_was_staged_is_written_anew(path, writes, change):
    staged.stage(str(path), "new\n")
    change(path.parent / NEW)
    staged.put_text(str(path), "new\n")
    assert (path.read_text(), path.is_symlink(), len(writes)) == ("new\n", False, 2)
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("mode", [None, 0o640])
def test_a_file_that_is_as_wanted_is_left_alone(path, writes, mode):
    path.parent.mkdir()
    path.write_text("same\n")
    path.chmod(0o640)
    before = path.stat()
    for write in (staged.stage, staged.put_text):
        write(str(path), "same\n", mode)
    assert (path.stat().st_ino, path.stat().st_mtime_ns, writes) == (before.st_ino, before.st_mtime_ns, [])
    staged.put_text(str(path), "same\n", 0o600)
    assert (path.stat().st_mode & 0o777, writes) == (0o600, ["daemon.json"])


def test_what_is_not_used_goes(path):
    staged.stage(str(path), "new\n")
    for _time in range(2):
        staged.unstage(str(path))
        assert os.listdir(str(path.parent)) == []
    staged.unstage("/nowhere/file")
    path.write_text("new\n")
    (path.parent / NEW).write_text("left by a killed run")
    staged.put_text(str(path), "new\n", None)
    assert os.listdir(str(path.parent)) == ["daemon.json"]
