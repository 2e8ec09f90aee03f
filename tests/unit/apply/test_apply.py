"""Carrying out: what is done after a step that failed, and what is not."""

import errno
import os
import pathlib

import docker_hosts
import pytest
import states
from docker_hosts import FRESH

from module_utils.direct_lvm.apply import apply, daemon
from module_utils.direct_lvm.facts import disks, docker_content
from module_utils.direct_lvm.host import commands, files
from module_utils.direct_lvm.model.errors import Changed, CommandFailed, Refused
from module_utils.direct_lvm.model.host import Content, Disk, Signature
from module_utils.direct_lvm.model.steps import (
    AssertBlank,
    AssertContent,
    AssertUnchanged,
    Command,
    Move,
    Replan,
    Transaction,
    WaitForDocker,
    WriteFile,
)
from module_utils.direct_lvm.plan import plan
from module_utils.direct_lvm.texts import switch_record


def step(name):
    return Command((name,), "test")


@pytest.fixture
def ran(monkeypatch):
    """The names of the commands that were run; one called fail-... fails, crash-... is a mistake in our own code."""
    names = []

    def run(argv, timeout=None, ok=(0,)):
        names.append(argv[0])
        if argv[0].startswith("fail"):
            raise CommandFailed(argv, "failed with return code 5")
        if argv[0].startswith("crash"):
            raise KeyError(argv[0])
        return commands.Result(tuple(argv), 0, "\tthreshold = 80\n\tpercent=2", "")

    monkeypatch.setattr(commands, "run", run)
    monkeypatch.setattr(daemon, "journal", lambda *_service: "the daemon's words")
    return names


def test_nothing_is_done_after_a_step_that_failed(ran):
    done = apply.Done()
    with pytest.raises(CommandFailed):
        apply.execute((step("a"), step("fail"), step("b")), done)
    assert (ran, done) == (["a", "fail"], [step("a")])


def test_a_command_that_failed_is_told_with_what_to_do_then(ran):
    with pytest.raises(CommandFailed, match="`fail` failed with return code 5: Call somebody"):
        apply.execute((step("fail")._replace(if_it_fails="Call somebody."),), apply.Done())
    assert apply.execute((step("a")._replace(if_it_fails="Call somebody."),), apply.Done())


def test_a_command_that_does_not_say_what_it_has_to_has_failed(ran):
    said = [step("a")._replace(says=("\tthreshold=80",)), step("b")._replace(says=("\tthreshold=80", "\tpercent=20")), step("c")]
    with pytest.raises(CommandFailed, match="`b.*` does not say \tpercent=20: threshold = 80"):
        apply.execute(said, apply.Done())
    assert ran == ["a", "b"]


STOP, START = Command(("systemctl", "stop"), "test"), Command(("systemctl", "start"), "test")


@pytest.mark.parametrize("wrong", ["fail", "crash"])
def test_the_way_back_is_taken_whatever_failed(ran, wrong):
    section = Transaction((step("a"), STOP, step(wrong), step("b")), (step("back"), START), "test", afterwards=(step("note"),))
    with pytest.raises(apply.SwitchFailed, match="Docker runs again as before") as failure:
        apply.execute((section,), apply.Done())
    assert ran == ["a", "systemctl", wrong, "back", "systemctl", "note"]
    assert "the daemon's words" in str(failure.value)


def test_a_docker_that_was_not_stopped_is_not_restarted_and_its_settings_go_back(ran):
    section = Transaction((step("fail"), STOP), (step("settings"), STOP, START), "test", afterwards=(step("note"),))
    done = apply.Done()
    with pytest.raises(apply.SwitchFailed, match="Docker was not stopped, and serves as before"):
        apply.execute((section,), done)
    assert ran == ["fail", "settings", "note"]
    assert done.downtime == 0


@pytest.mark.parametrize(
    ("steps", "back", "afterwards", "words"),
    [
        ((STOP, step("fail")), (step("fail-too"),), (), "The way back failed too, Docker is down"),
        ((step("fail"),), (step("fail-too"),), (), "The way back failed too, Docker was not stopped, and serves"),
        ((STOP, step("fail")), (START,), (step("fail-too"),), "Docker runs again as before.* Yet what follows failed"),
    ],
    ids=["docker-is-down", "docker-serves", "the-record-cannot-be-written"],
)
def test_a_way_back_that_fails_too_is_told_as_it_is(ran, steps, back, afterwards, words):
    with pytest.raises(apply.SwitchFailed, match=words):
        apply.execute((Transaction(steps, back, "test", afterwards=afterwards),), apply.Done())


@pytest.mark.parametrize("service", ["docker", "containerd"])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("inactive\n", "is down: "),
        ("failed\n", "is down: "),
        ("activating\n", "is down: "),
        ("active\n", "runs, yet not as it is to: "),
        (None, r"may be down or not \(.*timed out"),
    ],
    ids=["stopped", "failed", "starts-over-and-over", "runs", "systemd-does-not-answer"],
)
def test_whether_the_daemon_is_down_is_asked_before_it_is_said(monkeypatch, service, answer, words):
    asked = []

    def run(argv, timeout=None, ok=(0,)):
        asked.append((argv, timeout))
        if argv[0] == "fail" or (argv[1] == "is-active" and answer is None):
            raise CommandFailed(argv, "timed out")
        return commands.Result(tuple(argv), 0, answer, "")

    monkeypatch.setattr(commands, "run", run)
    monkeypatch.setattr(daemon, "journal", lambda *_service: "the daemon's words")
    section = Transaction((STOP, step("fail")), (STOP, START, step("fail")), "test", service)
    name = {"docker": "Docker"}.get(service, service)
    with pytest.raises(apply.SwitchFailed, match="The way back failed too, %s %s" % (name, words)):
        apply.execute((section,), apply.Done())
    assert (("systemctl", "is-active", service + ".service"), 30) in asked


@pytest.mark.parametrize("wrong", ["fail", "crash"])
def test_a_record_that_cannot_be_written_takes_nothing_back(ran, wrong):
    section = Transaction((STOP, START), (step("back"),), "test", afterwards=(step("note"),), last=(step(wrong),))
    done = apply.Done()
    assert apply.execute((section, step("load")), done)
    assert ran == ["systemctl", "systemctl", wrong, "load"]
    (sentence,) = done.sentences
    assert "Docker serves with its new configuration, yet what was to follow failed: " in sentence


DEBUG = '{"debug": true}'


@pytest.fixture
def switched(ran, tmp_path, monkeypatch):
    """(the steps of a switch that writes both files of Docker's, {name: path} of all three): nothing but files is real."""
    paths = {name: str(tmp_path / name / "file") for name in ("record", "daemon.json", "dropin")}
    monkeypatch.setattr(switch_record, "PATH", paths["record"])
    monkeypatch.setattr(daemon, "wait", lambda _step: None)
    monkeypatch.setattr(docker_content, "check", lambda _step: None)
    monkeypatch.setattr(docker_content, "start", lambda *_given: None)
    files.write_text(paths["daemon.json"], DEBUG)
    docker = FRESH._replace(daemon_json_path=paths["daemon.json"], daemon_json=DEBUG, content=Content())
    wanted = docker_hosts.JSON._replace(dropin=paths["dropin"])
    return plan.plan(states.spec()._replace(docker=wanted), docker_hosts.host(docker)).steps, paths


def full(monkeypatch, path, times=0):
    """The file system of a path is full, after so many files were made there."""
    real, made = os.open, []

    def fail(name, flags, *mode, **more):
        if flags & os.O_CREAT and os.readlink("/proc/self/fd/%d" % more["dir_fd"]) == os.path.dirname(path):
            made.append(name)
            if len(made) > times:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        return real(name, flags, *mode, **more)

    monkeypatch.setattr(os, "open", fail)


def there(paths):
    return sorted(str(path) for folder in paths.values() for path in pathlib.Path(folder).parent.glob("*"))


@pytest.mark.parametrize("name", ["record", "daemon.json", "dropin"])
def test_a_full_file_system_of_any_file_of_a_switch_stops_nothing(switched, ran, monkeypatch, name):
    steps, paths = switched
    full(monkeypatch, paths[name])
    with pytest.raises(OSError, match="No space left on device"):
        apply.execute(steps, apply.Done())
    assert ran == []
    assert there(paths) == [paths["daemon.json"]]  # no half of a file either
    assert files.read_text(paths["daemon.json"]) == DEBUG


def test_a_file_system_that_is_full_once_docker_is_stopped_is_no_matter(switched, ran, monkeypatch):
    """Each file was written before, and the last record is only told of."""
    steps, paths = switched
    for path in paths.values():
        full(monkeypatch, path, times=1)
    done = apply.Done()
    assert apply.execute(steps, done)
    assert there(paths) == sorted(paths.values())
    assert switch_record.parse(files.read_text(paths["record"])).state == "begun"
    assert "No space left on device" in done.sentences[0]


def test_a_switch_that_fails_leaves_no_staged_file_and_its_way_back_needs_no_space(switched, monkeypatch):
    steps, paths = switched

    def check(step):
        if step.stopped:
            for name in ("daemon.json", "dropin"):
                full(monkeypatch, paths[name])
            raise Changed("Docker holds something else than when it was looked at: container web.")

    monkeypatch.setattr(docker_content, "check", check)
    with pytest.raises(Changed):
        apply.execute(steps, apply.Done())
    assert there(paths) == [paths["daemon.json"], paths["record"]]
    assert files.read_text(paths["daemon.json"]) == DEBUG
    assert switch_record.parse(files.read_text(paths["record"])).state == "back"


@pytest.mark.parametrize("when", ["before the stop", "after the stop"])
def test_content_that_is_new_is_no_failure_but_a_new_plan(ran, monkeypatch, when):
    """The way back is taken, so that nothing is hidden, and then the change is told as such."""

    def check(_step):
        raise Changed("Docker holds something else than when it was looked at: container web.")

    monkeypatch.setattr(docker_content, "check", check)
    look = AssertContent("/x", Content(), None, "moby", True, "test")
    steps = (look, STOP, step("b")) if when == "before the stop" else (STOP, look, step("b"))
    with pytest.raises(Changed, match="container web"):
        apply.execute((Transaction(steps, (step("settings"), STOP, START), "test"),), apply.Done())
    assert ran == ["settings"] if when == "before the stop" else ["systemctl", "settings", "systemctl", "systemctl"]


def test_downtime_lasts_from_the_stop_until_docker_answers_or_is_put_back(ran, monkeypatch):
    clock = [0]

    def wait(_step):
        ran.append("wait")
        clock[0] += 7

    monkeypatch.setattr(apply.time, "monotonic", lambda: clock[0] or 0.001)
    monkeypatch.setattr(daemon, "wait", wait)
    stop, answers = Command(("systemctl", "stop", "docker"), "test"), WaitForDocker("unix:///x", "test", 5)
    done = apply.Done()
    apply.execute((step("save"), Transaction((stop, step("write"), answers, step("note")), (), "test"), step("load")), done)
    assert round(done.downtime) == 7
    done = apply.Done()
    with pytest.raises(apply.SwitchFailed):
        apply.execute((Transaction((stop, step("fail"), answers), (stop, answers), "test"),), done)
    assert round(done.downtime) == 7


def test_what_has_to_be_planned_anew_is_left(ran):
    done = apply.Done()
    assert not apply.execute((step("a"), Replan("test"), step("b")), done)
    assert (ran, done) == (["a"], [step("a")])
    assert apply.execute((step("b"),), done)


@pytest.mark.parametrize("change", [{"mounts": ("/mnt",)}, {"in_use": "opened"}, {"signatures": ()}, {"path": "/dev/sdc"}])
def test_a_disk_that_somebody_took_meanwhile_is_not_erased(ran, monkeypatch, change):
    seen = Disk("sdb", "/dev/sdb", size=2**30, signatures=("ext4",))
    steps = (AssertUnchanged(seen, "test"), step("wipefs"))
    monkeypatch.setattr(disks, "observe_disk", lambda _asked: seen)
    assert apply.execute(steps, apply.Done())
    monkeypatch.setattr(disks, "observe_disk", lambda _asked: seen._replace(**change))
    with pytest.raises(Refused, match="/dev/sdb has changed"):
        apply.execute(steps, apply.Done())
    assert ran == ["wipefs"]


@pytest.mark.parametrize(
    ("disk", "reason"),
    [
        (Disk("x", "/dev/dm-3"), None),
        (Disk("x", "/dev/dm-3", data_at=4096), None),
        (Disk("x", "/dev/dm-3", signatures=(Signature("ext4", 1080, "filesystem"),)), "ext4 found on it"),
        (Disk("x", "/dev/dm-3", in_use="opened"), "opened"),
        (Disk("x"), "it is not there"),
        (Disk("x", unreadable="Input/output error"), "Input/output error"),
    ],
    ids=["blank", "what-the-disk-held-before", "signature", "in-use", "no-such-device", "unreadable"],
)
def test_what_is_not_known_to_be_blank_is_not_overwritten(ran, monkeypatch, disk, reason):
    monkeypatch.setattr(disks, "observe_disk", lambda _asked: disk)
    steps = (AssertBlank("/dev/vgdocker/thinpool", "test"), step("lvconvert"))
    if reason is None:
        assert apply.execute(steps, apply.Done())
    else:
        with pytest.raises(Refused, match=reason):
            apply.execute(steps, apply.Done())
    assert ran == ([] if reason else ["lvconvert"])


@pytest.mark.parametrize("there", [True, False], ids=["lv-of-a-run-that-was-cut-off", "lv-still-to-be-made"])
def test_check_mode_looks_at_what_a_real_run_would_overwrite(ran, monkeypatch, tmp_path, there):
    lv = tmp_path / "thinpoolmeta"
    if there:
        lv.write_text("")
    monkeypatch.setattr(disks, "observe_disk", lambda asked: Disk(asked, asked, signatures=(Signature("xfs", 0, "filesystem"),)))
    steps = (step("lvchange"), AssertBlank(str(lv), "test"), step("lvconvert"))
    if there:
        with pytest.raises(Refused, match="thinpoolmeta is not blank: xfs found on it"):
            apply.recheck_devices(steps)
    else:
        apply.recheck_devices(steps)
    assert ran == []


def test_moves_are_done_once(tmp_path):
    (tmp_path / "ours").mkdir()
    move = Move(str(tmp_path / "ours"), str(tmp_path / "aside"), "test", (str(tmp_path / "former"),))
    apply.run_step(move, apply.Done())
    assert (tmp_path / "ours").is_dir()  # only while the former one is there
    (tmp_path / "former").mkdir()
    for _time in range(2):
        apply.run_step(move, apply.Done())
        assert sorted(path.name for path in tmp_path.iterdir()) == ["aside", "former"]
    (tmp_path / "ours").mkdir()
    apply.run_step(move, apply.Done())
    assert (tmp_path / "ours").is_dir()  # nothing is moved over what is there


def test_a_file_is_replaced_with_its_mode(tmp_path):
    path = tmp_path / "daemon.json"
    for mode, wanted in ((0o600, 0o600), (None, 0o600), (0o644, 0o644)):
        apply.run_step(WriteFile(str(path), "{}\n", "test", mode), apply.Done())
        assert path.stat().st_mode & 0o777 == wanted


def test_a_file_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    real, link = tmp_path / "srv" / "daemon.json", tmp_path / "etc" / "daemon.json"
    for folder in (real.parent, link.parent):
        folder.mkdir()
    link.symlink_to("../srv/daemon.json")
    for text in ("{}\n", '{"debug": true}\n'):  # the first time nothing is where the link leads
        apply.run_step(WriteFile(str(link), text, "test", None), apply.Done())
        assert (link.is_symlink(), real.read_text()) == (True, text)
        assert [path.name for folder in (real.parent, link.parent) for path in folder.iterdir()] == ["daemon.json"] * 2


def test_a_link_to_what_is_no_file_is_replaced_itself(tmp_path):
    (tmp_path / "masked.conf").symlink_to("/dev/null")
    apply.run_step(WriteFile(str(tmp_path / "masked.conf"), "x\n", "test"), apply.Done())
    assert (tmp_path / "masked.conf").read_text() == "x\n"
    assert not (tmp_path / "masked.conf").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_is_replaced_with_its_owner_and_group(tmp_path):
    path = tmp_path / "daemon.json"
    path.write_text("{}")
    os.chown(str(path), 1001, 1002)
    for mode in (None, 0o640):
        apply.run_step(WriteFile(str(path), '{"debug": true}\n', "test", mode), apply.Done())
        assert (path.stat().st_uid, path.stat().st_gid) == (1001, 1002)


@pytest.mark.parametrize("enabled", [True, False], ids=["selinux", "no-selinux"])
@pytest.mark.parametrize("rc", [0, 1, None], ids=["restorecon", "restorecon-fails", "no-restorecon"])
def test_a_written_file_and_its_folder_get_the_policys_labels(tmp_path, monkeypatch, enabled, rc):
    log, tool, enforce = tmp_path / "log", tmp_path / "restorecon", tmp_path / "enforce"
    path = tmp_path / "docker" / "daemon.json"
    if rc is not None:
        tool.write_text('#!/bin/sh\necho "$@" >> %s\ncat %s >> %s\nexit %d\n' % (log, path, log, rc))
        tool.chmod(0o755)
    if enabled:
        enforce.write_text("0")
    monkeypatch.setattr(files, "SELINUX", str(enforce))
    monkeypatch.setattr(commands, "PATH", "%s:/usr/bin:/bin" % tmp_path if rc is not None else str(tmp_path))
    apply.run_step(WriteFile(str(path), "{}\n", "test"), apply.Done())
    assert path.read_text() == "{}\n"
    called = enabled and rc is not None
    assert (log.read_text() if log.exists() else "") == ("%s %s\n{}\n" % (path.parent, path) if called else "")


def test_an_unknown_step_is_a_mistake():
    with pytest.raises(KeyError):
        apply.run_step("step", apply.Done())
