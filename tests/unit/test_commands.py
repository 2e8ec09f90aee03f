"""What a command that hangs costs: its bound on time, and nothing that it started stays behind."""

import time

import pytest

from module_utils.direct_lvm import commands


def test_a_command_that_hangs_is_stopped_with_its_children():
    started = time.monotonic()
    with pytest.raises(commands.CommandFailed, match="did not finish within 1 s and was stopped"):
        commands.run(["sh", "-c", "sleep 60 & wait"], timeout=1)
    assert time.monotonic() - started < 30  # the child holds the output open for as long as it lives


def test_a_command_that_is_not_there():
    with pytest.raises(commands.CommandFailed, match="`/no/such` could not be started"):
        commands.run(["/no/such"])


def test_a_failure_carries_the_commands_own_words():
    with pytest.raises(commands.CommandFailed, match="failed with return code 3: why"):
        commands.run(["sh", "-c", "echo why >&2; exit 3"])
    assert commands.run(["sh", "-c", "exit 3"], ok=None).rc == 3
