"""The folder of the image archives: what is refused, what is made, and that nothing that is there is changed."""

import os
import stat

import pytest
from docker_hosts import BUSYBOX, FRESH, WANTED, WEB, due

from module_utils.direct_lvm.images import archive_folder
from module_utils.direct_lvm.model.archives import Unfit
from module_utils.direct_lvm.model.errors import Refused


@pytest.fixture
def folders(tmp_path):
    """A function: the modes of folders, each in the one before it -> the last one's path."""

    def make(*modes):
        path = tmp_path
        for number, mode in enumerate(modes):
            path = path / ("level%d" % number)
            path.mkdir()
            path.chmod(mode)
        return path

    return make


def modes(path):
    """{path: mode} of a folder and those above it."""
    return {one: stat.S_IMODE(one.stat().st_mode) for one in [path, *path.parents] if one.exists()}


@pytest.mark.parametrize(
    ("above", "rest", "words"),
    [
        pytest.param((0o700,), "", None, id="roots-and-closed"),
        pytest.param((0o755,), "images", None, id="to-be-made"),
        pytest.param((0o755,), "a/b/images", None, id="to-be-made-with-its-parents"),
        pytest.param((0o1777,), "images", None, id="to-be-made-in-tmp"),
        pytest.param((0o755,), "", "others than root may look into {}", id="srv"),
        pytest.param((0o750,), "", "others than root may look into {}", id="its-group"),
        pytest.param((0o1777,), "", "others than root may look into {}", id="tmp"),
        pytest.param((0o777,), "", "{} may be written to by everybody", id="everybody"),
        pytest.param((0o777, 0o700), "", "{.parent} may be written to by everybody", id="everybody-above"),
        pytest.param((0o775, 0o700), "", "{.parent} may be written to by group id", id="a-group-above"),
        pytest.param((0o777,), "images", "{} may be written to by everybody", id="to-be-made-where-everybody-writes"),
    ],
)
def test_a_folder_is_made_or_taken_as_it_is_or_refused_and_never_changed(folders, above, rest, words):
    there = folders(*above)
    folder, before = there / rest, modes(there)
    found = archive_folder.problem(str(folder))
    if words is None:
        assert found is None
        archive_folder.make(str(folder))
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        with archive_folder.scratch(str(folder)) as place:
            assert stat.S_IMODE(os.stat(place).st_mode) == 0o700
        assert list(folder.iterdir()) == []
    else:
        assert found.why.startswith(words.format(there))
        with pytest.raises(Refused, match="which hold secrets, cannot go to %s: " % folder):
            archive_folder.make(str(folder))
        assert folder.exists() == (rest == "")
        assert archive_folder.problem(found.instead) is None
    assert {path: mode for path, mode in modes(folder).items() if path in before} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
@pytest.mark.parametrize("rest", ["", "images"])
def test_a_folder_of_another_users_or_in_one_is_refused(folders, rest):
    there = folders(0o700)
    os.chown(str(there), 1001, 1001)
    assert archive_folder.problem(str(there / rest)) == Unfit("%s belongs to user id 1001" % there, archive_folder.DEFAULT)


def test_a_file_or_a_link_of_anothers_is_refused(folders, tmp_path):
    (tmp_path / "file").touch()
    assert archive_folder.problem(str(tmp_path / "file" / "images")).why == "%s/file is no folder" % tmp_path
    shared = folders(0o777)
    (shared / "images").symlink_to(tmp_path)
    assert "images is a link, and others than root may write to" in archive_folder.problem(str(shared / "images")).why


@pytest.mark.parametrize("path", ["/", "/etc", "/srv", "/tmp", "/var"])
def test_no_folder_of_the_system_is_changed(path):
    before = os.stat(path)
    with pytest.raises(Refused, match="cannot go to"):
        archive_folder.make(path)
    assert os.stat(path).st_mode == before.st_mode


@pytest.mark.parametrize(
    ("path", "instead"),
    [("/srv", "/srv/direct-lvm-images"), ("/tmp", archive_folder.DEFAULT), ("/srv/a b", "'/srv/a b/direct-lvm-images'")],
)
def test_the_sentence_names_a_folder_that_will_do(path, instead, monkeypatch):
    answers = {path: ("others than root may look into it", path != "/tmp")}
    monkeypatch.setattr(archive_folder, "look", lambda folder: answers.get(folder, ("", False)))
    with pytest.raises(Refused) as refusal:
        archive_folder.make(path)
    assert refusal.value.way_out.endswith("image_archive_dir: %s" % instead)


@pytest.mark.parametrize(
    ("found", "refused"),
    [
        pytest.param(FRESH, False, id="nothing-to-keep"),
        pytest.param(FRESH._replace(images=(BUSYBOX,)), True, id="an-image"),
        pytest.param(
            FRESH._replace(images=(BUSYBOX,), archived=(BUSYBOX.id,)), True, id="an-image-whose-archive-another-put-there"
        ),
        pytest.param(FRESH._replace(containers=(WEB,)), True, id="a-container-to-keep"),
    ],
)
def test_the_plan_refuses_before_anything_is_touched(found, refused):
    found = found._replace(archive_unfit=Unfit("others than root may look into /srv", "/srv/direct-lvm-images"))
    wanted = WANTED._replace(archive_dir="/srv", containers="discard")
    if refused:
        with pytest.raises(Refused, match="cannot go to /srv: others than root may look into /srv"):
            due(found, wanted)
    else:
        assert due(found, wanted)
