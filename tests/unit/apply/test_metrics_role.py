"""The role of the figures for Prometheus, on this machine; systemctl is a stub."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import yaml
from role_variables import render

ROOT = pathlib.Path(__file__).resolve().parents[3]
FILES = yaml.safe_load((ROOT / "roles" / "pool_metrics" / "vars" / "main.yml").read_text())["pool_metrics_files"]


def install(program):
    """Put the program where the role puts it."""
    for name in FILES:
        (program / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(ROOT / "module_utils" / "direct_lvm" / name), str(program / name))


SYSTEMCTL = """#!/bin/sh
echo "$*" >> {folder}/told
case "$*" in
  *is-enabled*) echo enabled;;
  *show*) printf 'LoadState=loaded\\nActiveState=active\\nSubState=waiting\\n';;
esac
"""
PLAY = {
    "hosts": "all",
    "gather_facts": False,
    "roles": ["pool_metrics"],
    "environment": {"PATH": "{{ folder }}:{{ lookup('ansible.builtin.env', 'PATH') }}"},
}


@pytest.fixture
def play(tmp_path):
    """A function that runs the role: (how many modules ran on the host, what systemctl was told to do, what was printed)."""
    pytest.importorskip("ansible")  # this Python's, which is the host's here
    if not shutil.which("sha256sum"):
        pytest.skip("no sha256sum here")
    (tmp_path / "systemctl").write_text(SYSTEMCTL.format(folder=tmp_path))
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "units").mkdir()
    (tmp_path / "play.yml").write_text(json.dumps([PLAY]))
    given = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "folder": str(tmp_path),
        "pool_metrics_program": str(tmp_path / "program"),
        "pool_metrics_python": sys.executable,
        "pool_metrics_textfile_dir": str(tmp_path / "figures"),
        "pool_metrics_unit_dir": str(tmp_path / "units"),
    }
    environment = dict(os.environ, ANSIBLE_ROLES_PATH=str(ROOT / "roles"), ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"))

    def run(**more):
        variables = json.dumps(dict(given, **more))
        argv = ["ansible-playbook", "-vvvv", "-i", "localhost,", str(tmp_path / "play.yml"), "-e", variables]
        out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "universal_newlines": True}
        done = subprocess.run(argv, env=environment, cwd=str(tmp_path), **out)
        assert done.returncode == 0, done.stdout
        told = (tmp_path / "told").read_text().splitlines() if (tmp_path / "told").exists() else []
        (tmp_path / "told").write_text("")
        orders = [line.split()[0] for line in told if line.split()[0] in ("daemon-reload", "restart", "start")]
        return done.stdout.count("Using module file"), orders, done.stdout

    return run


def test_a_host_that_has_the_figures_costs_three_calls_and_a_changed_one_is_mended(play, tmp_path):
    program = tmp_path / "program" / "direct_lvm"
    install(program)
    (tmp_path / "figures").mkdir(mode=0o755)
    given = {"pool_metrics_python": sys.executable, "pool_metrics_textfile_dir": str(tmp_path / "figures")}
    for kind in ("service", "timer"):
        unit = tmp_path / "units" / ("direct-lvm-metrics." + kind)
        unit.write_text(render("direct-lvm-metrics.%s.j2" % kind, **given))
    calls, orders, printed = play()
    assert (calls, orders, "changed=0" in printed) == (3, [], True), printed

    right = {path: path.read_text() for path in (unit, program / "apply" / "metrics.py")}
    unit.unlink()
    (program / "apply" / "metrics.py").write_text("raise SystemExit(1)\n")
    _calls, orders, printed = play()
    assert {path: path.read_text() for path in right} == right, printed
    assert orders == ["daemon-reload", "restart"], printed


@pytest.mark.parametrize("situation", ["installed", "a-link", "the-program-is-gone", "an-older-program"])
def test_the_role_takes_the_figures_away_only_by_the_program(play, tmp_path, situation):
    program, figures, disk = tmp_path / "program", tmp_path / "figures", tmp_path / "etc" / "direct-lvm.prom"
    disk.parent.mkdir()
    disk.write_text("precious")
    install(program / "direct_lvm")
    if situation == "a-link":
        figures.symlink_to(disk.parent)
        tmp_path.chmod(0o777)
    else:
        figures.mkdir()
        (figures / "direct-lvm.prom").write_text("x")
    if situation == "the-program-is-gone":
        shutil.rmtree(str(program))
    if situation == "an-older-program":
        (program / "direct_lvm" / "apply" / "metrics.py").write_text("raise SystemExit('usage: --vg VG')\n")
    for kind in ("service", "timer"):
        (tmp_path / "units" / ("direct-lvm-metrics." + kind)).write_text("")
    stays = situation in ("a-link", "the-program-is-gone", "an-older-program")
    _calls, orders, printed = play(pool_metrics_state="absent")
    printed = " ".join(printed.split())
    assert (figures / "direct-lvm.prom").exists() == stays, printed
    assert disk.exists()
    assert (not program.exists(), list((tmp_path / "units").iterdir())) == (True, [])
    assert orders == ["daemon-reload"], printed
    assert ("direct-lvm.prom was not removed, and node_exporter keeps serving it" in printed) == stays, printed
    why = {"a-link": "figures is a link", "the-program-is-gone": "it is not installed", "an-older-program": "usage: --vg VG"}
    assert why.get(situation, "") in printed
