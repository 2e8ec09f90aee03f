"""The lock that keeps two runs on one host apart."""

import os

import pytest

from module_utils.direct_lvm import files
from module_utils.direct_lvm.model import Refused


def test_a_second_run_is_refused_with_the_file_that_tells_who_has_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LOCK", str(tmp_path / "lock"))
    with files.only_one_run(0), pytest.raises(Refused, match="fuser -v %s" % files.LOCK), files.only_one_run(0):
        pass
    with files.only_one_run(0):  # it was let go
        assert os.stat(files.LOCK).st_mode & 0o077 == 0


@pytest.mark.skipif(not os.path.isdir("/run"), reason="no Linux host")
def test_nobody_but_root_can_make_the_lock_first():
    folder = os.stat(os.path.dirname(files.LOCK))
    assert (folder.st_uid, folder.st_mode & 0o022) == (0, 0)
