"""Guests for a file of tests."""

import os

import pytest
import remote
from guest import Guest


@pytest.fixture(scope="module")
def prepared(boot):
    """A function that boots a guest with our modules, runs a script on it, and keeps it as the snapshot 'before'."""

    def up(name, script="", **given):
        one = boot(name, **given)
        remote.install(one)
        if script:
            one.ssh("bash -s", stdin=script)
        one.snapshot("before")
        return one

    return up


@pytest.fixture(scope="module")
def boot():
    """A function that boots a guest, given its name and what Guest.up takes. At the end they go, unless DIRECT_LVM_KEEP is set."""
    guests, keep = [], bool(os.environ.get("DIRECT_LVM_KEEP"))

    def up(name, **given):
        guests.append(Guest(name))
        guests[-1].down()  # what a killed test left
        return guests[-1].up(cpus=1, owner=None if keep else os.getpid(), **given)

    yield up
    for one in () if keep else guests:
        one.down()
