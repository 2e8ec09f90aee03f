"""On a real guest: images and containers come along to the pool, with their IDs, files and states.

python3 -m pytest tests/guest/test_live_switch.py
"""

import pytest
import remote

# Images that share a base, one dangling, one with two tags, one built on another; and containers of many kinds.
CONTENT = r"""
set -eu
docker import -c 'CMD ["sh"]' /usr/local/share/busybox.tar app:1 > /dev/null
docker tag app:1 app:latest
docker run --name make app:1 sh -c 'echo more > /more; mkdir -p /srv/old/deep; touch /srv/old/deep/1 /srv/old/2; ln -s /more /link'
docker commit make app:2 > /dev/null
docker rm make > /dev/null
docker run --name make app:2 sh -c 'echo lost > /lost'
docker commit make app:3 > /dev/null
docker tag app:3 spare:1; docker rmi app:3 > /dev/null
docker commit make > /dev/null
docker rm make > /dev/null
docker network create --subnet 10.99.0.0/24 shelf > /dev/null
run() { docker run -d "$@" > /dev/null; }
run --name always --restart always app:1 sleep 100000
run --name stopped --restart unless-stopped app:1 sleep 100000
docker stop --time 1 stopped > /dev/null
run --name unless --restart unless-stopped app:1 sleep 100000
run --name plain -p 8080:80 -v data:/data -e A=1 --hostname one app:1 \
    sh -c 'trap "echo ended > /data/end; exit 0" TERM; while :; do sleep 0.2; done'
run --name anon -v /anon app:1 sleep 100000
run --name static --network shelf --ip 10.99.0.7 --network-alias other app:1 sleep 100000
run --name beside --network container:static app:1 sleep 100000
run --name froms --volumes-from plain app:1 sleep 100000
run --name paused app:1 sleep 100000
docker pause paused > /dev/null
docker run --name exited app:1 sh -c 'echo said; exit 3' > /dev/null || :
docker create --name created app:1 true > /dev/null
run app:2 sleep 100000
run --name writer app:2 sh -c '
echo changed > /more; rm -r /srv/old; mkdir /srv/old; echo new > /srv/old/new; rm /link; mkdir /link; touch /link/in
ln /more /hard; chmod 4750 /more; chown 5:6 /more; mknod /fifo p; dd if=/dev/zero of=/sparse bs=1 count=1 seek=9999999
touch -d 2001-02-03 /more /srv; exec sleep 100000'
"""
# What a restart changes is not compared: process numbers, times, dynamic addresses.
HELD = r"""
form='{{.ID}} {{.Image}} {{.Command}} {{.Names}} {{.Ports}} {{.Networks}} {{.Mounts}} {{.CreatedAt}}'
docker ps --all --no-trunc --format "$form" | sort
form='{{.Id}} {{.State.Status}} {{.State.ExitCode}} {{.RestartCount}} {{json .Config}} {{json .HostConfig}} {{.LogPath}}'
docker inspect $(docker ps -aq) --format "$form" | sort
docker images --all --no-trunc --digests --format '{{.ID}} {{.Repository}}:{{.Tag}} {{.Digest}} {{.CreatedAt}} {{.Size}}' | sort
docker logs exited
files() {
    docker exec $1 find / -xdev $2 -type d ! -path '/dev*' -exec stat -c "$3" {} + | grep -v '^/ \|^/proc \|^/sys \|^/etc' | sort
}
for name in plain writer; do
    echo $name
    files $name ! '%n %F %a %u:%g %s %h %Y %t,%T'
    files $name '' '%n %a %u:%g %Y'  # a folder's size and links are the file system's affair
done
docker exec writer sh -c 'md5sum /more /hard /sparse /srv/old/new; du -k /sparse; ls /srv/old /link'
docker volume ls -q | sort
docker network ls --format '{{.Name}} {{.ID}}' | grep -v bridge | sort
"""
# Links, routes, rules and containerd's namespaces, without what every restart numbers anew.
SURROUNDINGS = r"""
ip -o link show | grep -v veth | cut -d: -f2
ip route
iptables-save | sed '/^#/d; s/\[.*//; s/172\.17\.0\.[0-9]*/IP/g'
ctr namespaces ls -q
"""
FINISHED = "docker ps -a --filter name=stopped --filter status=exited -q | wc -l; cat /var/lib/docker/volumes/data/_data/end"


@pytest.fixture(scope="module")
def guest(prepared):
    """A guest whose Docker is on overlay2 and holds something, and a snapshot of that called 'before'."""
    return prepared("live", CONTENT, disks=("4G",))


@pytest.fixture
def before(guest):
    """The guest as it was, and what its Docker holds."""
    guest.restore("before")
    return guest, guest.ssh(HELD).stdout


def driver(guest):
    """The storage driver that Docker names."""
    return guest.ssh("docker info --format '{{.Driver}}'").stdout.strip()


def kept(guest, **docker):
    """The module's answer when containers are to be kept."""
    return remote.run(guest, docker=dict(docker, containers="keep"))


def test_images_and_containers_come_along(before):
    guest, held = before
    around = set(guest.ssh(SURROUNDINGS).stdout.splitlines())
    planned = remote.run(guest, docker={"containers": "keep"}, check=True)
    assert "msg" not in planned, planned["msg"]
    assert [step["kind"] for step in planned["steps"]].count("fill_pool") == 1
    done = kept(guest)
    assert "msg" not in done, done["msg"]
    assert driver(guest) == "devicemapper"
    assert guest.ssh(HELD).stdout == held
    assert guest.ssh(FINISHED).stdout.split() == ["1", "ended"]
    assert guest.ssh("ls -A /var/lib/direct-lvm/images 2> /dev/null", check=False).stdout == ""  # no archive
    assert guest.ssh("ls -d /var/lib/docker/direct-lvm-shadow /run/direct-lvm-shadow", check=False).stdout == ""
    assert set(guest.ssh(SURROUNDINGS).stdout.splitlines()) ^ around <= {"direct-lvm-shadow", "direct-lvm-shadow-plugins"}
    again = kept(guest)
    assert (again["changed"], again["steps"]) == (False, [])
    guest.ssh("docker run --rm --pull never app:2 true; docker rm -f writer; docker rmi spare:1")


def test_a_docker_that_does_not_come_up_is_put_back_with_its_containers(before):
    guest, held = before
    failed = kept(guest, options={"dm.mountopt": "no-such-option"})
    assert failed["failed"]
    assert driver(guest) == "overlay2"
    assert guest.ssh(HELD).stdout == held
    done = kept(guest)
    assert "msg" not in done, done["msg"]
    assert driver(guest) == "devicemapper"
    assert guest.ssh(HELD).stdout == held


def names(guest):
    """The containers that Docker lists."""
    return guest.ssh("docker ps --all --no-trunc --format '{{.ID}} {{.Names}}' | sort").stdout


@pytest.mark.parametrize(
    ("until", "running"),
    [
        ("pgrep -f 'docker.*direct-lvm-shadow.* load'", False),
        ("ls /var/lib/docker/direct-lvm-shadow/used", True),
        ("! systemctl is-active -q docker && ls /etc/systemd/system/docker.service.d/daemon.conf", True),
    ],
    ids=["while-the-pool-is-filled", "while-docker-is-down", "after-the-containers-changed-sides"],
)
def test_a_power_cut_loses_nothing_and_the_next_run_ends_well(before, until, running):
    """What the run has stopped runs again in the end; of what ran when the host died, what Docker starts by itself."""
    guest, held = before
    all_of_them = names(guest)
    guest.ssh("cat > /tmp/args.json", stdin=remote.parameters(docker={"containers": "keep"}))
    guest.ssh("setsid sh -c '%s > /tmp/out 2>&1' > /dev/null 2>&1 < /dev/null &" % remote.command())
    guest.ssh("until { %s; } > /dev/null 2>&1; do sleep 0.05; done; pgrep -f ansible.modules.direct_lvm > /dev/null" % until)
    guest.power_cut()
    guest.start()
    guest.wait()
    done = kept(guest)
    assert "msg" not in done, done.get("msg")
    assert driver(guest) == "devicemapper"
    if running:
        assert guest.ssh(HELD).stdout == held
    else:
        assert {"always", "unless"} <= set(guest.ssh("docker ps --format '{{.Names}}'").stdout.split())
    assert names(guest) == all_of_them
    again = kept(guest)
    assert (again["changed"], again["steps"]) == (False, [])
