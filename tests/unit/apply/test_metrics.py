"""The figures for Prometheus: numbers, format, failures; the alert rules as promtool judges them."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import jinja2
import pytest
import states
import yaml
from hypothesis import given
from hypothesis import strategies as st
from role_variables import render

from module_utils.direct_lvm.apply import metrics
from module_utils.direct_lvm.facts import lvm
from module_utils.direct_lvm.host import files
from module_utils.direct_lvm.model.errors import CommandFailed
from module_utils.direct_lvm.plan import health

ROOT = pathlib.Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "pool_metrics"
RULES = ROLE / "files" / "direct-lvm.rules.yml"
ARGUMENTS = ["--vg", "vgdocker", "--pool", "thinpool", "--threshold", "80", "--percent", "20", "--output"]


def samples(text):
    """{name{labels}: value} of a text in the exposition format."""
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")}


@pytest.fixture
def collect(tmp_path, monkeypatch):
    """A function: a recorded state, or an exception that LVM's answer is -> (return code, the file's text)."""

    def run(state):
        def ask():
            if isinstance(state, Exception):
                raise state
            return states.report("bookworm", state)

        monkeypatch.setattr(lvm, "ask", ask)
        monkeypatch.setattr(files, "must_be_root", lambda: None)
        path = tmp_path / "textfile" / "direct-lvm.prom"
        return metrics.main([*ARGUMENTS, str(path)]), path.read_text()

    return run


def test_the_articles_pool_in_base_units(collect):
    code, text = collect("07-complete-profile-attached")
    labels, vg = '{vg="vgdocker",pool="thinpool"}', '{vg="vgdocker"}'
    lv = states.report("bookworm", "07-complete-profile-attached").lv("vgdocker", "thinpool")
    assert code == 0
    assert samples(text) == {
        "direct_lvm_pool_active" + labels: 1,
        "direct_lvm_pool_healthy" + labels: 1,
        "direct_lvm_pool_monitored" + labels: 1,
        "direct_lvm_pool_data_size_bytes" + labels: 7295 * 4194304,
        "direct_lvm_pool_data_used_ratio" + labels: lv.data_percent / 100,
        "direct_lvm_pool_metadata_size_bytes" + labels: 304 * 1024**2,
        "direct_lvm_pool_metadata_used_ratio" + labels: pytest.approx(lv.metadata_percent / 100),
        "direct_lvm_pool_growth_steps_left" + labels: 0,
        "direct_lvm_vg_size_bytes" + vg: 7679 * 4194304,
        "direct_lvm_vg_free_bytes" + vg: 232 * 4194304,
        "direct_lvm_collect_success": 1,
    }


@pytest.mark.parametrize(
    ("state", "told", "absent"),
    [
        ("00-blank", {"pool_active": 0}, ["vg_size_bytes", "pool_healthy", "pool_monitored"]),
        ("02-vg", {"pool_active": 0, "vg_free_bytes": 7679 * 4194304}, ["pool_healthy"]),
        ("13-complete-inactive", {"pool_active": 0, "pool_healthy": 1}, ["pool_monitored", "pool_data_used_ratio"]),
        ("14-complete-not-monitored", {"pool_active": 1, "pool_monitored": 0}, []),
        ("26-vg-missing-pv", {"pool_healthy": 0}, []),
    ],
)
def test_what_lvm_cannot_tell_is_left_out(collect, state, told, absent):
    code, text = collect(state)
    found = {re.sub(r"\{.*", "", name)[len("direct_lvm_") :]: value for name, value in samples(text).items()}
    assert code == 0
    assert {name: found.get(name) for name in told} == told
    assert not set(absent) & set(found)
    assert found["collect_success"] == 1


def test_a_pool_of_a_host_whose_lvm_watches_nothing_counts_as_not_monitored():
    report = states.report("bookworm", "07-complete-profile-attached")
    report = report._replace(lvs=tuple(lv._replace(monitored=None) for lv in report.lvs))
    assert metrics.figures(states.ARTICLE, report)["pool_monitored"] == 0


def test_growth_is_not_counted_when_autoextend_is_off():
    report = states.report("bookworm", "07-complete-profile-attached")
    assert "pool_growth_steps_left" not in metrics.figures(states.ARTICLE._replace(autoextend_threshold=100), report)


@pytest.mark.parametrize("failure", [CommandFailed(["lvm"], "did not finish within 120 s"), OSError("no space")], ids=str)
def test_a_silent_lvm_leaves_no_old_figures_behind(collect, capsys, failure):
    collect("07-complete-profile-attached")
    code, text = collect(failure)
    assert code == 1
    assert samples(text) == {"direct_lvm_collect_success": 0}
    assert str(failure) in capsys.readouterr().err


def test_nothing_half_written_is_ever_read(tmp_path, monkeypatch, collect):
    collect("07-complete-profile-attached")
    seen = []
    monkeypatch.setattr(files.os, "rename", lambda source, target, **_folders: seen.append((source, target)))
    _code, before = collect("02-vg")
    ((source, target),) = seen
    assert target.endswith("direct-lvm.prom")
    assert not source.endswith(".prom")  # which is all that node_exporter reads
    assert len(samples(before)) == 11


@given(st.sampled_from(states.names()), st.integers(50, 100), st.integers(1, 100))
def test_every_recorded_state_gives_the_exposition_format(state, threshold, percent):
    pool = states.ARTICLE._replace(autoextend_threshold=threshold, autoextend_percent=percent)
    text = metrics.exposition(pool, metrics.figures(pool, states.report(*state)))
    names = re.findall(r"^# HELP (direct_lvm_[a-z_]+) [A-Z].*\.\n# TYPE \1 gauge\n\1(?:\{.*\})? [0-9.]+$", text, re.M)
    assert len(names) == len(set(names)) == len(text.splitlines()) / 3
    assert all(0 <= value <= 1 for name, value in samples(text).items() if "_ratio" in name)


def test_the_files_that_the_role_installs_are_enough(tmp_path):
    for name in yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["pool_metrics_files"]:
        (tmp_path / "direct_lvm" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(ROOT / "module_utils" / "direct_lvm" / name), str(tmp_path / "direct_lvm" / name))
    argv = [sys.executable, "-B", "-m", "direct_lvm.apply.metrics", *ARGUMENTS, str(tmp_path / "out.prom")]
    done = subprocess.run(argv, cwd=str(tmp_path), env={"PATH": "/nowhere"}, stderr=subprocess.PIPE, universal_newlines=True)
    assert "Traceback" not in done.stderr
    assert done.returncode == int("direct_lvm_collect_success 0" in (tmp_path / "out.prom").read_text())


@pytest.mark.parametrize(
    ("answer", "check_mode", "fails"),
    [
        ({"rc": 0, "stdout": "there"}, False, False),
        ({"rc": 1, "stderr": "the figures cannot go to /x"}, False, True),
        ({"rc": None, "msg": "Unable to change directory before execution."}, True, False),  # the program is not installed yet
        ({"rc": 0, "skipped": True}, True, False),
    ],
    ids=["made", "refused", "check-mode-on-a-new-host", "check-mode"],
)
def test_the_role_ends_for_a_folder_that_was_refused_and_not_in_check_mode(answer, check_mode, fails):
    tasks = yaml.safe_load((ROLE / "tasks" / "present.yml").read_text())
    (when,) = [task["when"] for task in tasks if "ansible.builtin.fail" in task]
    assert jinja2.Environment().compile_expression(when)(pool_metrics_folder=answer, ansible_check_mode=check_mode) is fails


def test_the_service_starts_the_program_as_it_wants_to_be_started(tmp_path, monkeypatch):
    folder = str(tmp_path / "textfile")
    unit = render("direct-lvm-metrics.service.j2", pool_metrics_textfile_dir=folder, thin_pool_vg="other-vg")
    (command,) = re.findall(r"^ExecStart=(.*)$", unit, re.M)
    assert command.startswith("/usr/bin/python3 -B -m direct_lvm.apply.metrics --vg other-vg ")
    monkeypatch.setattr(lvm, "ask", lambda: states.report("bookworm", "00-blank"))
    monkeypatch.setattr(files, "must_be_root", lambda: None)
    assert metrics.main(command.split()[4:]) == 0
    assert 'pool_active{vg="other-vg",pool="thinpool"} 0' in (tmp_path / "textfile" / "direct-lvm.prom").read_text()
    assert re.search(r"^ReadWritePaths=%s " % folder, unit, re.M)


def test_the_rules_have_the_limits_that_the_status_has():
    rules = {rule["alert"]: rule for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]}
    assert rules["DirectLvmDataNearlyFull"]["expr"].split(" > ") == [
        "direct_lvm_pool_data_used_ratio",
        "%.2f" % (health.DATA_LIMIT / 100),
    ]
    assert rules["DirectLvmMetadataNearlyFull"]["expr"].split(" > ")[1] == "%.2f" % (health.METADATA_LIMIT / 100)
    known = {metrics.PREFIX + name for name, _text in (*metrics.HELP, metrics.COLLECTED)}
    for rule in rules.values():
        assert set(re.findall(r"direct_lvm_\w+", rule["expr"])) <= known


@pytest.fixture(scope="module")
def promtool():
    """A function that runs promtool and returns what it says; it must succeed."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed: make .venv/bin/promtool takes it from Debian's package prometheus")

    def run(*words, **given):
        done = subprocess.run(
            ["promtool", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, **given
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


def test_promtool_takes_the_rules(promtool):
    assert "SUCCESS: 7 rules found" in promtool("check", "rules", str(RULES))


def test_promtool_takes_the_figures_and_has_nothing_to_remark(promtool, collect):
    for state in ("07-complete-profile-attached", "00-blank", OSError("LVM does not answer")):
        assert promtool("check", "metrics", input=collect(state)[1]) == ""


def test_promtool_sees_every_alert_fire_and_none_without_reason(promtool):
    assert "SUCCESS" in promtool("test", "rules", str(ROOT / "tests" / "unit" / "direct-lvm.rules.test.yml"))
    tried = yaml.safe_load((ROOT / "tests" / "unit" / "direct-lvm.rules.test.yml").read_text())["tests"]
    fired = {case["alertname"] for test in tried for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]}


@pytest.mark.parametrize(
    ("modes", "told"),
    [
        pytest.param((0o755, 0o755), "", id="closed"),
        pytest.param((0o755,), "", id="to-be-made"),
        pytest.param((0o1777, 0o755), "", id="roots-in-tmp"),
        pytest.param((0o755, 0o777), "chmod go-w {0}/upper/lower", id="everybody"),
        pytest.param((0o755, 0o775), "chmod go-w {0}/upper/lower", id="group"),
        pytest.param((0o755, 0o1777), "chmod go-w {0}/upper/lower", id="everybody-and-sticky"),
        pytest.param((0o1777,), "", id="to-be-made-in-tmp"),
        pytest.param((0o777, 0o755), metrics.ELSEWHERE, id="everybody-above"),
        pytest.param((0o777, 0o777), metrics.ELSEWHERE, id="both"),
        pytest.param((0o777,), metrics.ELSEWHERE, id="to-be-made-where-everybody-writes"),
    ],
)
def test_a_folder_in_which_a_third_writes_is_refused_and_gets_nothing(tmp_path, monkeypatch, capsys, modes, told):
    folder = tmp_path / "upper" / "lower"
    for path, mode in zip((folder.parent, folder), modes):
        path.mkdir()
        path.chmod(mode)
    before = folder.exists()
    monkeypatch.setattr(lvm, "ask", lambda: states.report("bookworm", "00-blank"))
    monkeypatch.setattr(files, "must_be_root", lambda: None)
    assert metrics.main(["--prepare", str(folder)]) == int(bool(told))
    said = capsys.readouterr()
    assert said.out == ("" if told else "there\n" if before else "made\n")
    assert told.format(tmp_path) in said.err
    assert metrics.main([*ARGUMENTS, str(folder / "direct-lvm.prom")]) == int(bool(told))
    assert (folder / "direct-lvm.prom").exists() == (told == "")
    assert folder.exists() == (before or told == "")
    assert ("who could hide that the pool fills up" in capsys.readouterr().err) == bool(told)


@pytest.mark.parametrize("name", ["direct-lvm.prom", "direct-lvm.prom.direct-lvm-new"])
def test_a_link_in_the_folder_is_replaced_and_not_followed(tmp_path, monkeypatch, name):
    disk = tmp_path / "disk"
    disk.write_text("precious")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / name).symlink_to(disk)
    monkeypatch.setattr(files, "is_closed", lambda status: status.st_ino != (tmp_path / "figures").stat().st_ino)
    monkeypatch.setattr(lvm, "ask", lambda: states.report("bookworm", "00-blank"))
    monkeypatch.setattr(files, "must_be_root", lambda: None)
    assert metrics.main([*ARGUMENTS, str(tmp_path / "figures" / "direct-lvm.prom")]) == 0
    assert disk.read_text() == "precious"
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["direct-lvm.prom"]


def test_the_folder_of_debians_prometheus_that_became_a_link_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "prometheus").mkdir(mode=0o755)
    (tmp_path / "etc").mkdir()
    (tmp_path / "prometheus" / "node-exporter").symlink_to(tmp_path / "etc")
    monkeypatch.setattr(files, "is_closed", lambda status: status.st_ino != (tmp_path / "prometheus").stat().st_ino)
    monkeypatch.setattr(lvm, "ask", lambda: states.report("bookworm", "00-blank"))
    monkeypatch.setattr(files, "must_be_root", lambda: None)
    path = str(tmp_path / "prometheus" / "node-exporter" / "direct-lvm.prom")
    assert metrics.main([*ARGUMENTS, path]) == metrics.main(["--prepare", os.path.dirname(path)]) == 1
    assert capsys.readouterr().err.count("node-exporter is a link, and others than root may write to") == 2
    assert list((tmp_path / "etc").iterdir()) == []


@pytest.mark.parametrize(
    ("linked", "mode", "told"),
    [(False, 0o755, "removed"), (False, 0o777, "removed"), (True, 0o755, "removed"), (True, 0o777, "")],
    ids=["closed", "another-users", "a-link-of-roots", "a-link-of-another-users"],
)
def test_the_figures_are_removed_and_nothing_behind_a_link(tmp_path, monkeypatch, capsys, linked, mode, told):
    (tmp_path / "prometheus").mkdir()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "direct-lvm.prom").write_text("precious")
    folder = tmp_path / "prometheus" / "node-exporter"
    if linked:
        folder.symlink_to(tmp_path / "etc")
    else:
        folder.mkdir()
        (folder / "direct-lvm.prom").write_text("x")
    folder.parent.chmod(mode)
    monkeypatch.setattr(files, "must_be_root", lambda: None)
    assert metrics.main(["--remove", str(folder / "direct-lvm.prom")]) == int(not told)
    said = capsys.readouterr()
    assert said.out.strip() == told
    assert ("node-exporter is a link, and others than root may write to" in said.err) == (not told)
    assert (folder / "direct-lvm.prom").exists() == (not told)
    assert (tmp_path / "etc" / "direct-lvm.prom").exists() == (not linked or not told)
    if told:
        assert metrics.main(["--remove", str(folder / "direct-lvm.prom")]) == 0
        assert capsys.readouterr().out == "absent\n"


def test_the_service_reads_disks_and_writes_to_none():
    unit = render("direct-lvm-metrics.service.j2").splitlines()
    assert "DevicePolicy=closed" in unit
    assert sorted(line for line in unit if line.startswith("DeviceAllow=")) == [
        "DeviceAllow=/dev/mapper/control rw",  # device-mapper's ioctls: LVM opens it for both
        "DeviceAllow=block-* r",
    ]
