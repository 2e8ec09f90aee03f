"""What a command that hangs costs: its bound on time, and nothing that it started stays behind."""

import time

import pytest

from module_utils.direct_lvm import commands


def test_a_command_that_hangs_is_stopped_with_its_children():
    started = time.monotonic()
    with pytest.raises(commands.CommandFailed, match="did not finish within 1 s and was stopped"):
        commands.run(["sh", "-c", "sleep 60 & wait"], timeout=1)
    assert time.monotonic() - started < 30  # the child holds the output open for as long as it lives


def test_a_child_in_another_session_that_keeps_the_output_open_is_not_waited_for():
    started = time.monotonic()
    with pytest.raises(commands.CommandFailed, match="did not finish within 1 s and was stopped"):
        commands.run(["sh", "-c", "setsid sleep 20 & exec sleep 60"], timeout=1)
    assert time.monotonic() - started < 10


def test_a_process_that_cannot_be_killed_now_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(commands, "GRACE", 0.1)
    monkeypatch.setattr(commands.os, "killpg", lambda *_pid_and_signal: None)  # as in the kernel's D state
    started = time.monotonic()
    with pytest.raises(commands.CommandFailed, match="did not finish within 1 s and was stopped"):
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
    with pytest.raises(commands.CommandFailed, match=told):
        commands.run(["sleep", "20"], timeout=timeout)


def test_a_command_that_is_not_there():
    with pytest.raises(commands.CommandFailed, match="`/no/such` could not be started"):
        commands.run(["/no/such"])


def test_a_failure_carries_the_commands_own_words():
    with pytest.raises(commands.CommandFailed, match="failed with return code 3: why"):
        commands.run(["sh", "-c", "echo why >&2; exit 3"])
    assert commands.run(["sh", "-c", "exit 3"], ok=None).rc == 3
