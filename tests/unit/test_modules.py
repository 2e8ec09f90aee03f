"""What the modules of library/ decide themselves, run in this process with stand-ins for the host and for Ansible."""

import contextlib
import importlib
import pathlib
import shutil
import sys
import types

import pytest
from archives import SAVED, TINY
from fake_docker import HOST, FakeDocker

pytest.importorskip("ansible.module_utils.basic")
ROOT = pathlib.Path(__file__).resolve().parents[2]


class Ended(Exception):
    """The module has given its answer."""


class FakeModule:
    """Stands in for AnsibleModule: its parameters, and the answer that it was told to give."""

    def __init__(self, check_mode=False, **params):
        self.params, self.check_mode, self._diff, self.answer, self.sentences = params, check_mode, False, None, []

    def warn(self, sentence):
        self.sentences.append(sentence)

    def exit_json(self, **answer):
        self.answer = answer
        raise Ended

    def fail_json(self, **answer):
        self.exit_json(failed=True, **answer)


@pytest.fixture
def library(monkeypatch):
    """A function that imports a module of library/ as a part of a package, for it names its code relatively."""
    package = types.ModuleType("collection")
    package.__path__ = [str(ROOT)]
    monkeypatch.setitem(sys.modules, "collection", package)
    yield lambda name: importlib.import_module(".".join((package.__name__, "library", name)))
    for name in [name for name in sys.modules if name.startswith("collection.")]:
        del sys.modules[name]


OTHER = TINY._replace(id="sha256:" + "1" * 64)
RECORD = '{"state": "done", "driver": "overlay2", "pool": "", "dropin": null, "daemon_json": null, "pending": [], "names": [%s]}'


@pytest.mark.parametrize(
    ("store", "names", "keep"),
    [
        ([], "", True),
        ([TINY], "", True),
        ([TINY], "", False),
        ([TINY._replace(tags=()), OTHER], "", True),
        ([TINY._replace(tags=()), OTHER], '["tiny:2", "%s"]' % OTHER.id, True),
    ],
    ids=["not-loaded", "loaded", "archive-goes", "tag-moved-since", "tag-was-there-before"],
)
def test_check_mode_says_of_an_image_what_the_run_then_does(library, monkeypatch, tmp_path, store, names, keep):
    module = library("direct_lvm_images")
    docker = FakeDocker(monkeypatch, store)
    monkeypatch.setattr(sys.modules["collection.module_utils.direct_lvm.host.commands"], "run", docker.run)
    monkeypatch.setattr(module.switch_record, "PATH", str(tmp_path / "record.json"))
    (tmp_path / "record.json").write_text(RECORD % names)
    shutil.copy(SAVED, module.images.archive_path(str(tmp_path), TINY.id))
    given = {"image": TINY.id, "state": "loaded", "dir": str(tmp_path), "keep": keep, "command_timeout": 60}
    told = []
    for check_mode in (True, False):
        result = {"changed": False}
        module.one_image(FakeModule(check_mode, **given), HOST, result)
        told.append(result["changed"])
        assert not check_mode or docker.verbs() == []
    assert told[0] == told[1] == (bool(docker.verbs()) or not keep)


def road(module):
    """The module of a module's whole run."""
    return sys.modules[module.converge_alone.__module__]


@pytest.mark.parametrize(("done", "continues"), [(False, False), (True, True)], ids=["nothing-done", "one-step-done"])
def test_a_failure_tells_to_run_again_only_where_work_had_begun(library, monkeypatch, done, continues):
    module = library("direct_lvm")

    def converge(_spec, result, *_modes):
        result["changed"] = done
        raise module.commands.CommandFailed(["lvs"], "did not finish within 120 s and was stopped")

    ended = FakeModule(command_timeout=120, lock_timeout=0, plan_only_for=[], variables=[])
    monkeypatch.setattr(module, "AnsibleModule", lambda **_given: ended)
    monkeypatch.setattr(module, "read_spec", lambda _params: None)
    monkeypatch.setattr(module.files, "must_be_root", lambda: None)
    monkeypatch.setattr(road(module).lock, "only_one_run", lambda _timeout: contextlib.nullcontext())
    monkeypatch.setattr(road(module), "converge", converge)
    with pytest.raises(Ended):
        module.main()
    assert ended.answer["msg"].startswith("`lvs` did not finish within 120 s and was stopped.")
    assert ("The next run continues from here." in ended.answer["msg"]) == continues


@pytest.mark.parametrize(
    ("due", "only", "check_mode", "looks"),
    [
        (False, [], False, ["any"]),
        (True, [], False, ["any", "locked"]),
        (True, ["long_steps"], False, ["any", "locked long_steps"]),
        (True, ["any"], False, ["any"]),
        (True, [], True, [""]),
    ],
    ids=["nothing-due", "due", "due-for-a-caller", "plan-only", "check-mode"],
)
def test_a_host_is_locked_only_when_something_is_due_and_then_looked_at_again(library, monkeypatch, due, only, check_mode, looks):
    module = library("direct_lvm")
    seen, locked = [], []

    @contextlib.contextmanager
    def lock(_timeout):
        locked.append("locked")
        yield

    def converge(_spec, result, _check_mode, _diff, plan_only_for):
        assert result["steps"] == []
        seen.append(" ".join(locked + plan_only_for))
        result["steps"] = ["a step"] if due else []
        return ()

    ended = FakeModule(check_mode, command_timeout=120, lock_timeout=0, plan_only_for=only, variables=[])
    monkeypatch.setattr(module, "AnsibleModule", lambda **_given: ended)
    monkeypatch.setattr(module, "read_spec", lambda _params: None)
    monkeypatch.setattr(module.files, "must_be_root", lambda: None)
    monkeypatch.setattr(road(module).lock, "only_one_run", lock)
    monkeypatch.setattr(road(module), "converge", converge)
    with pytest.raises(Ended):
        module.main()
    assert seen == looks


@pytest.mark.parametrize("only", [[], ["any"]], ids=["run", "look"])
@pytest.mark.parametrize("failure", ["refused", "failed", "gone"])
def test_what_another_run_has_half_done_is_looked_at_again_under_the_lock_or_named(library, monkeypatch, only, failure):
    module = library("direct_lvm")
    failures = {
        "refused": module.Refused("/dev/vdb is a PV without a VG.", ""),
        "failed": module.commands.CommandFailed(["lvs"], "failed with exit code 5"),
        "gone": FileNotFoundError("/dev/vgdocker"),
    }
    at_work = [True]

    @contextlib.contextmanager
    def lock(_timeout):
        at_work.clear()
        yield

    def converge(_spec, _result, *_modes):
        if at_work:
            raise failures[failure]
        return ()

    ended = FakeModule(command_timeout=120, lock_timeout=0, plan_only_for=only, variables=[])
    monkeypatch.setattr(module, "AnsibleModule", lambda **_given: ended)
    monkeypatch.setattr(module, "read_spec", lambda _params: None)
    monkeypatch.setattr(module.files, "must_be_root", lambda: None)
    monkeypatch.setattr(road(module).lock, "only_one_run", lock)
    monkeypatch.setattr(road(module).lock, "another_runs", lambda: bool(at_work))
    monkeypatch.setattr(road(module), "converge", converge)
    with pytest.raises(Ended):
        module.main()
    if only:
        assert "Another run is at work on this host" in ended.answer["msg"]
    else:
        assert "msg" not in ended.answer
