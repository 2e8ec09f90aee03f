"""What a command that hangs or never stops printing costs, that nothing which it started stays, and what it sees of the caller."""

import os
import pwd
import resource
import time

import pytest

from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.model.errors import CommandFailed


def test_a_command_that_hangs_is_stopped_with_its_children():
    started = time.monotonic()
    with pytest.raises(CommandFailed, match="did not finish within 1 s and was stopped"):
        commands.run(["sh", "-c", "sleep 60 & wait"], timeout=1)
    assert time.monotonic() - started < 30  # the child holds the output open for as long as it lives


def test_a_child_in_another_session_that_keeps_the_output_open_is_not_waited_for():
    started = time.monotonic()
    with pytest.raises(CommandFailed, match="did not finish within 1 s and was stopped"):
        commands.run(["sh", "-c", "setsid sleep 20 & exec sleep 60"], timeout=1)
    assert time.monotonic() - started < 10


def test_a_process_that_cannot_be_killed_now_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(commands, "GRACE", 0.1)
    monkeypatch.setattr(commands.os, "killpg", lambda *_pid_and_signal: None)  # as in the kernel's D state
    started = time.monotonic()
    with pytest.raises(CommandFailed, match="did not finish within 1 s and was stopped"):
        commands.run(["sleep", "20"], timeout=1)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("timeout", "variable", "told"),
    [
        (None, "thin_pool_command_timeout", r"within 1 s and was stopped \(it gets more time with thin_pool_command_timeout: 2\)"),
        (None, "", r"within 1 s and was stopped\."),
        (0.5, "thin_pool_command_timeout", r"within 0 s and was stopped\."),
    ],
    ids=["the-common-bound", "a-module-without-the-variable", "a-bound-of-its-own"],
)
def test_the_variable_that_gives_more_time_is_named_where_it_does(monkeypatch, timeout, variable, told):
    monkeypatch.setattr(commands, "bound", 1)
    monkeypatch.setattr(commands, "bound_variable", variable)
    with pytest.raises(CommandFailed, match=told):
        commands.run(["sleep", "20"], timeout=timeout)


def test_a_command_that_is_not_there():
    with pytest.raises(CommandFailed, match="`/no/such` could not be started"):
        commands.run(["/no/such"])


def test_what_a_command_says_of_names_that_others_chose_is_no_order_to_the_terminal():
    with pytest.raises(CommandFailed) as failure:
        commands.run(["sh", "-c", r"printf 'no \033[2J\nsuch' >&2; exit 3"])
    assert str(failure.value).endswith("no \\x1b[2J\nsuch")


def test_a_failure_carries_the_commands_own_words():
    with pytest.raises(CommandFailed, match="failed with return code 3: why"):
        commands.run(["sh", "-c", "echo why >&2; exit 3"])
    assert commands.run(["sh", "-c", "exit 3"], ok=None).rc == 3


# --- what a command may print ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    ["cat /dev/zero", "cat /dev/zero >&2", "cat /dev/zero & cat /dev/zero >&2", "cat /dev/zero; sleep 20"],
    ids=["output", "errors", "both", "and-would-go-on"],
)
def test_a_command_that_never_stops_printing_is_stopped_and_named(script, monkeypatch):
    monkeypatch.setattr(commands, "LIMIT", 3 << 20)
    started, most = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CommandFailed) as raised:
        commands.run(["sh", "-c", script], timeout=60)
    assert str(raised.value) == "`sh -c %s` printed more than 3 MiB and was stopped." % script
    assert time.monotonic() - started < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 64 << 10  # KiB


def test_nothing_of_a_command_that_printed_too_much_stays(monkeypatch, tmp_path):
    monkeypatch.setattr(commands, "LIMIT", 1000)
    with pytest.raises(CommandFailed, match="printed more than"):
        commands.run(["sh", "-c", "sleep 60 & echo $! > %s/pid; yes" % tmp_path], timeout=30)
    end = time.monotonic() + 10
    while running((tmp_path / "pid").read_text().strip()) and time.monotonic() < end:
        time.sleep(0.01)
    assert not running((tmp_path / "pid").read_text().strip())


def running(pid):
    """Whether there is such a process, and it is no zombie."""
    try:
        with open("/proc/%s/stat" % pid) as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_all_of_what_a_command_may_print_is_returned(monkeypatch):
    monkeypatch.setattr(commands, "LIMIT", 300000)
    result = commands.run(["sh", "-c", "head -c 100000 /dev/zero | tr '\\0' a; head -c 200000 /dev/zero | tr '\\0' b >&2"])
    assert (result.out, result.err) == ("a" * 100000, "b" * 200000)


def test_the_bound_is_far_above_what_any_host_was_seen_to_answer():
    assert commands.LIMIT == 64 << 20


def test_a_command_that_closes_its_output_and_goes_on_is_stopped_in_time():
    with pytest.raises(CommandFailed, match="did not finish within 1 s and was stopped"):
        commands.run(["sh", "-c", "exec >&- 2>&-; sleep 20"], timeout=1)


def test_a_command_that_prints_slowly_for_ever_is_stopped_in_time():
    with pytest.raises(CommandFailed, match="did not finish within 1 s and was stopped"):
        commands.run(["sh", "-c", "while echo x; do sleep 0.1; done"], timeout=1)


def test_of_a_long_failure_the_sentence_has_both_ends():
    with pytest.raises(CommandFailed) as raised:
        commands.run(["sh", "-c", "echo first >&2; yes 2>/dev/null | head -c 1000000 >&2; echo last >&2; exit 3"])
    assert "failed with return code 3: first\n" in str(raised.value)
    assert str(raised.value).endswith("\nlast")
    assert len(str(raised.value)) < 5000


# --- what a command sees of the caller ---------------------------------------------------------------------------

INHERITED = (
    "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION", "CONTAINERD_ADDRESS",
    "CONTAINERD_NAMESPACE", "CONTAINERD_SNAPSHOTTER", "LVM_SYSTEM_DIR", "LVM_COMMAND_PROFILE", "LVM_SUPPRESS_SYSLOG",
    "LVM_SUPPRESS_LOCKING_FAILURE_MESSAGES", "LVM_EXPECTED_EXIT_STATUS", "LVM_VG_NAME", "LVM_REPORT_FD", "DM_DEV_DIR",
    "DM_DISABLE_UDEV", "DM_DEFAULT_NAME_MANGLING_MODE", "BLKID_FILE", "BLKID_CONF", "LIBBLKID_DEBUG", "SYSTEMD_PAGER",
    "SYSTEMD_COLORS", "SYSTEMD_LOG_LEVEL", "DBUS_SYSTEM_BUS_ADDRESS", "NOTIFY_SOCKET", "TMPDIR", "LD_PRELOAD_32",
    "LD_LIBRARY_PATH", "GODEBUG", "PYTHONPATH", "HTTP_PROXY", "https_proxy", "LC_MESSAGES", "LANGUAGE", "TZ", "BASH_ENV", "ENV",
)  # fmt: skip


def test_of_the_callers_environment_a_command_sees_the_path_alone(monkeypatch):
    for name in INHERITED:
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setenv("HOME", "/home/caller")  # as sudo may leave it
    told = dict(line.split("=", 1) for line in commands.run(["env"]).out.splitlines())
    home = pwd.getpwuid(os.geteuid()).pw_dir
    assert told == {"PATH": commands.PATH, "HOME": home, "LC_ALL": "C", "LVM_SUPPRESS_FD_WARNINGS": "1"}


def test_a_user_without_a_name_has_a_home_too(monkeypatch):
    monkeypatch.setattr(commands.pwd, "getpwuid", {}.__getitem__)
    assert commands.environment()["HOME"] == "/"


@pytest.mark.parametrize(
    ("given_path", "kept"),
    [
        ("/opt/docker/bin:/usr/bin", ["/opt/docker/bin", "/usr/bin"]),
        ("", []),
        (".:/opt/bin::relative/bin:", ["/opt/bin"]),
    ],
    ids=["absolute", "none", "relative-and-empty"],
)
def test_programs_are_looked_for_in_absolute_folders_alone(given_path, kept):
    assert commands.search_path(given_path).split(":") == [*kept, *commands.SYSTEM_PATH.split(":")]


def test_a_word_that_no_program_can_be_given_is_told():
    for word in ("a\0b", "\ud800"):
        with pytest.raises(CommandFailed, match="could not be started"):
            commands.run(["true", word])
