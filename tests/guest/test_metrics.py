"""On a real guest: the timer's service, closed in as it is, and what user prometheus plants in the folder that Debian gives him.

    .venv/bin/python3 -m pytest tests/guest/test_metrics.py

The tests run in their order: each goes on from where the one before it left the guest.
"""

import json
import re
import subprocess

import pytest
import remote

SERVICE = "direct-lvm-metrics.service"
ABOVE = "/var/lib/prometheus"
FOLDER = ABOVE + "/node-exporter"
FIGURES = FOLDER + "/direct-lvm.prom"
# Debian's prometheus-node-exporter, postinst: chown prometheus:prometheus /var/lib/prometheus; the folder below stays root's.
DEBIAN = "useradd --system prometheus && mkdir -p %s && chown prometheus:prometheus %s" % (FOLDER, ABOVE)
AS_PROMETHEUS = "setpriv --reuid prometheus --regid prometheus --clear-groups sh -ec "
PROGRAM = "cd /usr/local/lib/direct-lvm && $(sed -n 's/^ExecStart=//p' /etc/systemd/system/%s)" % SERVICE


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def guest(boot, request):
    """A guest with a pool on one of its disks, and Debian's folder for figures."""
    one = boot("metrics-" + request.param, release=request.param, disks=("1G", "64M"))
    remote.install(one)
    made = remote.run(one)
    assert made.get("changed"), made
    one.ssh(DEBIAN + " && dd if=/dev/urandom of=/dev/vdc bs=1M count=8 && sha256sum /dev/vdc > /root/disk")
    return one


def play(guest, *more):
    """Run metrics.yml; (return code, what it printed)."""
    inventory = guest.folder / "inventory.json"
    known = dict(guest.variables(), thin_pool_devices=["/dev/vdb"])
    inventory.write_text(json.dumps({"all": {"hosts": {guest.name: known}}}))
    argv = ["ansible-playbook", "-i", str(inventory), "playbooks/metrics.yml", *more]
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(argv, cwd=str(remote.ROOT), check=False, **out)
    return done.returncode, " ".join(done.stdout.split())


def collect(guest):
    """Start the service once; (its return code, what it said)."""
    told = guest.ssh(  # by time: after a cursor that the filter leaves out, journalctl of systemd 252 leaves out one line more
        "sleep 1; s=$(date +%s); systemctl reset-failed {0}; systemctl start {0}; echo $?; journalctl --sync; "
        "journalctl --quiet --since @$s -o cat _SYSTEMD_UNIT={0}".format(SERVICE),
        check=False,
    ).stdout
    code, _newline, said = told.partition("\n")
    return code, said


def test_the_role_installs_it_and_a_second_run_changes_nothing(guest):
    assert play(guest)[0] == 0
    code, told = play(guest)
    assert (code, "changed=0" in told) == (0, True), told
    owners = guest.ssh("stat -c '%%U %%a' %s %s" % (ABOVE, FOLDER)).stdout.split()
    assert owners == ["prometheus", "755", "root", "755"]


def test_the_service_tells_what_the_program_tells_without_its_walls(guest):
    code, said = collect(guest)
    assert (code, said) == ("0", ""), said
    within = guest.ssh("cat %s && rm %s" % (FIGURES, FIGURES)).stdout
    guest.ssh(PROGRAM)
    assert within == guest.ssh("cat " + FIGURES).stdout
    assert "direct_lvm_collect_success 1" in within
    assert re.search(r"^direct_lvm_pool_data_used_ratio\{.*\} [0-9.]+$", within, re.M)
    assert guest.ssh("stat -c '%%U %%a' %s" % FIGURES).stdout == "root 644\n"


def test_systemd_finds_little_to_say_about_it(guest):
    told = guest.ssh("systemd-analyze security --no-pager " + SERVICE).stdout
    print(told)
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
    assert float(level.group(1)) <= 2.0, told  # 1.6 with systemd 252; root, LVM's capabilities and its devices are what is left


def test_it_cannot_write_to_a_disk_or_elsewhere(guest):
    tried = {
        "disk": "dd if=/dev/zero of=/dev/vdc bs=512 count=1",
        "etc": "touch /etc/planted",
        "clock": "date -s 2001-01-01",
        "memory": "head -c 1 /dev/mem",
        "home": "ls /root/disk",
        "network": "test $(grep -c : /proc/net/dev) -gt 1",
    }
    script = "; ".join("(%s) > /dev/null 2>&1 && echo %s" % (command, name) for name, command in tried.items())
    guest.ssh(
        "mkdir -p /run/systemd/system/%s.d; cat > /opt/try; chmod 755 /opt/try" % SERVICE, stdin="#!/bin/sh\n%s\ntrue\n" % script
    )
    lines = "[Service]\\nExecStart=\\nExecStart=/opt/try\\n"
    guest.ssh("printf '%s' > /run/systemd/system/%s.d/try.conf && systemctl daemon-reload" % (lines, SERVICE))
    assert collect(guest) == ("0", "")
    guest.ssh("rm -r /run/systemd/system/%s.d && systemctl daemon-reload && sha256sum -c /root/disk" % SERVICE)


def test_a_disk_behind_the_links_that_prometheus_planted_is_not_written_to(guest):
    guest.ssh(
        AS_PROMETHEUS + '"cd %s; mv node-exporter aside; mkdir node-exporter; cd node-exporter; '
        'ln -s /dev/vdc direct-lvm.prom; ln -s /dev/vdc direct-lvm.prom.direct-lvm-new"' % ABOVE
    )
    assert collect(guest) == ("0", "")
    guest.ssh("sha256sum -c /root/disk && test ! -L {0} && grep -q collect_success {0}".format(FIGURES))
    assert guest.ssh("ls %s; stat -c '%%U %%a' %s" % (FOLDER, FIGURES)).stdout == "direct-lvm.prom\nroot 644\n"


def test_a_file_of_prometheus_is_replaced(guest):
    guest.ssh(AS_PROMETHEUS + '"rm {0}; echo lies > {0}; mkdir {0}.direct-lvm-new"'.format(FIGURES))
    assert collect(guest) == ("0", "")
    assert guest.ssh("stat -c %%U %s; grep -c collect_success %s" % (FIGURES, FIGURES)).stdout.split()[0] == "root"


def test_a_folder_that_prometheus_made_a_link_is_refused_with_a_sentence(guest):
    guest.ssh(AS_PROMETHEUS + '"cd %s; mv node-exporter aside2; ln -s /etc/cron.d node-exporter"' % ABOVE)
    code, said = collect(guest)
    assert code == "1"
    assert "%s is a link, and others than root may write to %s: root does not follow it." % (FOLDER, ABOVE) in said
    assert "Traceback" not in said
    code, told = play(guest)
    assert code == 2
    assert "root does not follow it" in told
    guest.ssh("test ! -e /etc/cron.d/direct-lvm.prom && rm %s && mv %s/aside %s" % (FOLDER, ABOVE, FOLDER))


@pytest.mark.parametrize(("mode", "who"), [("0777", "everybody"), ("0775", "group id 0"), ("1777", "everybody")])
def test_a_folder_in_which_a_third_writes_is_refused_and_the_way_out_leads_out(guest, mode, who):
    prepare = "cd /usr/local/lib/direct-lvm && python3 -B -m direct_lvm.apply.metrics --prepare " + FOLDER  # as the role does
    done = guest.ssh("chmod %s %s && %s" % (mode, FOLDER, prepare), check=False)
    assert done.returncode == 1
    assert "%s may be written to by %s, who could hide that the pool fills up" % (FOLDER, who) in done.stderr
    assert collect(guest)[0] == "1"
    guest.ssh(re.search(r"chmod go-w \S+/node-exporter", done.stderr).group())
    assert guest.ssh(prepare).stdout == "there\n"
    assert collect(guest) == ("0", "")


def test_absent_takes_it_away(guest):
    assert play(guest, "-e", "pool_metrics_state=absent")[0] == 0
    guest.ssh("! ls %s /etc/systemd/system/direct-lvm-metrics.* /usr/local/lib/direct-lvm 2> /dev/null" % FIGURES)
