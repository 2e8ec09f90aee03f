"""Docker's record of a container: what is read of it, in which order containers start, and how its driver is changed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from states import recorded

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import KeptContainer
from module_utils.direct_lvm.texts import container_record, strict_json

CONFIG = recorded("docker", "config-v2-20.10.24-labelled.json")
HOST = json.dumps(json.loads(recorded("docker", "inspect-container-20.10.24.json"))[0]["HostConfig"])  # another container's
ID = json.loads(CONFIG)["ID"]
OTHER, THIRD = "1" * 64, "2" * 64
IMAGE = "sha256:3248b6c5b6a76e55d40e92401dcfacc6bf197c2978b326aead9a414df11442b4"


def put(text, **changes):
    """A record with other values: State__Running=None takes that key out."""
    fields = json.loads(text)
    for path, value in changes.items():
        *outer, last = path.split("__")
        inner = fields
        for key in outer:
            inner = inner[key]
        inner[last] = value
        if value is None:
            del inner[last]
    return json.dumps(fields)


def container(number, *needs, name="", service=""):
    return KeptContainer(number, name or "name-of-" + number[:1], IMAGE, "overlay2", needs=needs, service=service)


# --- reading -----------------------------------------------------------------------------------------------------


def test_a_recorded_container():
    assert container_record.parse(ID, CONFIG, HOST) == KeptContainer(ID, "web", IMAGE, "overlay2", running=True)


COMPOSE = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
DEPENDS = "com.docker.compose.depends_on"
READ = [  # situation, changes of config.v2.json, of hostconfig.json, what it is read as
    ("removed at its end", {}, {"AutoRemove": True}, {"removed_at_end": True}),
    ("a swarm's task", {"Managed": True}, {}, {"task": True}),
    ("a kubelet's", {"Config__Labels": {"io.kubernetes.pod.name": "dns-1"}}, {}, {"pod": True}),
    ("a time to end", {"Config__StopTimeout": 900}, {}, {"stop_timeout": 900}),
    ("all the time to end", {"Config__StopTimeout": -1}, {}, {"stop_timeout": 3600}),
    ("without labels", {"Config__Labels": None}, {}, {}),
    ("paused", {"State__Paused": True}, {}, {"paused": True}),
    ("stopped", {"State__Running": False, "HasBeenManuallyStopped": True}, {}, {"running": False}),
    ("an old name without a slash", {"Name": "web"}, {}, {}),
    ("on another driver", {"Driver": "devicemapper"}, {}, {"driver": "devicemapper"}),
    ("mounts", {"MountPoints": {"/%d" % at: {"Driver": name} for at, name in enumerate(["nfs", "local", "", "ceph", "nfs"])}},
     {}, {"volume_drivers": ("ceph", "nfs")}),
    ("never started", {"NetworkSettings__Networks": None}, {}, {}),
    ("namespaces", {}, {"NetworkMode": "container:" + OTHER, "PidMode": "container:db", "IpcMode": "container:mq"},
     {"needs": (OTHER, "db", "mq")}),
    ("volumes from", {}, {"VolumesFrom": ["db:ro", "/mq"]}, {"needs": ("db", "mq")}),
    ("links", {}, {"Links": ["db:sql", "/mq:/web/queue"]}, {"needs": ("db", "mq")}),
    ("links on its own network", {"NetworkSettings__Networks": {"own": {"Links": ["db:sql"]}, "new": {}}}, {}, {"needs": ("db",)}),
    ("compose", {"Config__Labels": dict(COMPOSE, **{DEPENDS: "db:service_started:false,mq:service_healthy:true"})}, {},
     {"service": "shop/web", "needs": ("shop/db", "shop/mq")}),
    ("an older compose", {"Config__Labels": dict(COMPOSE, **{DEPENDS: "db,mq"})}, {},
     {"service": "shop/web", "needs": ("shop/db", "shop/mq")}),
    ("compose without dependencies", {"Config__Labels": dict(COMPOSE, **{DEPENDS: ""})}, {}, {"service": "shop/web"}),
    ("a label of the image's without a project", {"Config__Labels": {DEPENDS: "db"}}, {}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "host", "expected"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_what_is_read(changes, host, expected):
    plain = KeptContainer(ID, "web", IMAGE, "overlay2", running=True)
    assert container_record.parse(ID, put(CONFIG, **changes), put(HOST, **host)) == plain._replace(**expected)


UNFIT = [  # changes of config.v2.json, of hostconfig.json, what the operator reads
    ({"ID": OTHER}, {}, "ID is not the name of its folder"),
    ({"Name": "/a b"}, {}, "Name is not a container's name"),
    ({"Name": None}, {}, "Name is not a text"),
    ({"Image": "app:1"}, {}, "Image is not the ID of an image"),
    ({"Driver": ""}, {}, "Driver is not the name of a storage driver"),
    ({"Driver": None}, {}, "Driver is not a text"),
    ({"Managed": 0}, {}, "Managed is not true or false"),
    ({"State": []}, {}, "State.Running is not true or false"),
    ({"State__Paused": None}, {}, "State.Paused is not true or false"),
    ({"HasBeenManuallyStopped": "no"}, {}, "HasBeenManuallyStopped is not true or false"),
    ({"Config__Labels": ["a"]}, {}, "Config.Labels is not an object"),
    ({"Config__Labels": {"a": 1}}, {}, "Config.Labels is not an object of texts only"),
    ({"MountPoints": {"/a": "local"}}, {}, "MountPoints is not an object of objects only"),
    ({"MountPoints": {"/a": {}}}, {}, "Driver is not a text"),
    ({"NetworkSettings__Networks": {"own": {"Links": "db"}}}, {}, "Links is not a list"),
    ({}, {"AutoRemove": None}, "AutoRemove is not true or false"),
    ({}, {"PidMode": 1}, "PidMode is not a text"),
    ({}, {"VolumesFrom": [1]}, "VolumesFrom is not a list of texts only"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "host", "words"), UNFIT, ids=[row[2] for row in UNFIT])
def test_what_does_not_fit_is_refused_by_name(changes, host, words):
    with pytest.raises(Refused) as caught:
        container_record.parse(ID, put(CONFIG, **changes), put(HOST, **host))
    assert words in caught.value.what
    assert "container %s " % ID[:12] in caught.value.what
    assert "docker inspect %s\n" % ID[:12] in caught.value.way_out


@pytest.mark.parametrize("text", [None, "", "[]", '{"ID": ', '{"ID": NaN}'])
def test_a_torn_file_is_refused(text):
    with pytest.raises(Refused, match="config.v2.json is not"):
        container_record.parse(ID, text, HOST)
    with pytest.raises(Refused, match="hostconfig.json is not"):
        container_record.parse(ID, CONFIG, text)
    with pytest.raises(Refused, match="config.v2.json is not"):
        container_record.with_driver(ID, text, "devicemapper", "overlay2")


# --- needs and order ---------------------------------------------------------------------------------------------


def test_needs_are_found_by_id_name_service_and_the_beginning_of_an_id():
    found = container_record.with_needs(
        (
            container(ID, OTHER, "db", "shop/db", "333", "2", "gone", "shop/gone", "web", name="web"),
            container(OTHER, name="db", service="shop/db"),
            container(THIRD, "web", service="shop/db"),
            container("3331" * 16, ""),
            container("3332" * 16, "name-of-2", "name-of-2"),
        )
    )
    assert [one.needs for one in found] == [(OTHER, THIRD), (), (ID,), (), (THIRD,)]


def test_a_name_is_found_before_the_beginning_of_an_id():
    found = container_record.with_needs((container(ID, "1111"), container(OTHER), container(THIRD, name="1111")))
    assert found[0].needs == (THIRD,)


ORDERS = [
    ("none", [], []),
    ("as given", [("b",), ("a",)], ["ba"]),
    ("a chain", [("web", "db"), ("proxy", "web"), ("db",)], ["db", "web", "proxy"]),
    ("a diamond", [("d", "b", "c"), ("c", "a"), ("b", "a"), ("a",)], ["a", "cb", "d"]),
    ("one that is not among them", [("a", "gone"), ("b", "a")], ["a", "b"]),
    ("a circle, and who needs it", [("d", "a"), ("a", "b"), ("b", "a"), ("c",), ("e", "c")], ["c", "e", "dab"]),
    ("itself", [("a", "a"), ("b",)], ["b", "a"]),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), [row[1:] for row in ORDERS], ids=[row[0] for row in ORDERS])
def test_the_order_to_start(given, expected):
    batches = container_record.start_order([container(number, *needs) for number, *needs in given])
    assert ["".join(batch) for batch in batches] == expected


@given(st.dictionaries(st.integers(0, 9), st.lists(st.integers(0, 9))))
def test_each_starts_once_and_after_what_it_needs_unless_in_the_last_batch(given):
    batches = container_record.start_order([container(str(one), *map(str, needs)) for one, needs in given.items()])
    assert sorted(one for batch in batches for one in batch) == sorted(map(str, given))
    started = set()
    for batch in batches[:-1]:
        assert all(str(need) in started or need not in given for one in batch for need in given[int(one)])
        started.update(batch)


# --- another driver ----------------------------------------------------------------------------------------------


def test_only_the_outermost_driver_changes_and_all_else_stays_to_the_letter():
    changed = container_record.with_driver(ID, CONFIG, "devicemapper", "overlay2")
    assert changed == CONFIG.replace('"Name":"/web","Driver":"overlay2"', '"Name":"/web","Driver":"devicemapper"')
    assert changed.count("overlay2") == CONFIG.count("overlay2") - 1 == 2
    assert container_record.with_driver(ID, changed, "devicemapper", "overlay2") == changed
    assert container_record.with_driver(ID, changed, "overlay2", "devicemapper") == CONFIG


def test_what_python_would_write_otherwise_stays():
    text = '{"a":1e+06,"b":18446744073709551615,"c":"\\u003c\\u0026","d":{"x":1,"x":2},"e":1.0,"Driver":"overlay2","f":"\u00e9"}\n'
    assert container_record.with_driver(ID, text, "d", "overlay2") == text.replace("overlay2", "d")


STOPPED = CONFIG.replace('"HasBeenManuallyStopped":false', '"HasBeenManuallyStopped":true')


def test_what_the_switch_stopped_is_not_noted_as_its_owners_wish():
    moved = CONFIG.replace('"Name":"/web","Driver":"overlay2"', '"Name":"/web","Driver":"devicemapper"')
    assert STOPPED != CONFIG
    assert container_record.with_driver(ID, STOPPED, "devicemapper", "overlay2", ran=True) == moved
    assert container_record.with_driver(ID, CONFIG, "devicemapper", "overlay2", ran=True) == moved
    assert container_record.with_driver(ID, STOPPED, "overlay2", "devicemapper", ran=True) == CONFIG
    assert '"HasBeenManuallyStopped":true' in container_record.with_driver(ID, STOPPED, "devicemapper", "overlay2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"Driver":"btrfs"}', "Driver is not overlay2 or devicemapper"),
        ('{"a":{"Driver":"overlay2"}}', "Driver is not overlay2 or devicemapper"),
        ('{"Driver":["overlay2"]}', "Driver is not overlay2 or devicemapper"),
        ('{"Driver":"btrfs","Driver":"overlay2"}', "each key once"),
        ('{"Driver":"overlay2","driver":"btrfs"}', "each key once"),
        ('{"Driver":"overlay2","hasBeenManuallyStopped":true}', "each key once"),
        ('{"Driver":"overlay2"}{}', "something follows"),
    ],
)
def test_an_unexpected_driver_is_refused(text, words):
    with pytest.raises(Refused, match=words):
        container_record.with_driver(ID, text, "devicemapper", "overlay2")


NUMBERS = st.one_of(st.integers(-(10**38), 10**38), st.floats(allow_nan=False, allow_infinity=False))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.one_of(st.just("Driver"), st.text()), inner)),
    max_leaves=20,
)
OTHERS = st.text().filter(lambda key: key.casefold() not in ("driver", "hasbeenmanuallystopped"))
DRIVERS = st.text(max_size=9)


@given(st.dictionaries(OTHERS, JSON), DRIVERS, DRIVERS, st.booleans(), st.integers(0, 9), st.data())
def test_all_else_of_any_object_comes_back(fields, former, driver, ran, indent, data):
    items = data.draw(st.permutations([*fields.items(), ("Driver", former), ("HasBeenManuallyStopped", ran)]))
    text = json.dumps(dict(items), indent=indent or None, ensure_ascii=indent % 2 == 0)
    changed = container_record.with_driver(ID, text, driver, former, ran)
    expected = dict(items, Driver=driver, HasBeenManuallyStopped=False)
    assert list(strict_json.loads(changed).items()) == list(expected.items())
    back = container_record.with_driver(ID, changed, former, driver)
    assert list(strict_json.loads(back).items()) == list(dict(expected, Driver=former).items())
    if not ran:
        assert strict_json.loads(back) == strict_json.loads(text)


@given(JSON, st.text())
def test_arbitrary_input_is_read_or_refused(value, text):
    for one in (text, json.dumps(value), put(CONFIG, State=value), put(CONFIG, MountPoints=value), put(CONFIG, Config=value)):
        for action in (
            lambda one=one: container_record.parse(ID, one, HOST),
            lambda one=one: container_record.parse(ID, CONFIG, one),
            lambda one=one: container_record.with_driver(ID, one, "devicemapper", "overlay2"),
        ):
            try:
                action()
            except Refused:
                continue


def test_real_containers_are_read_with_what_they_need():
    """Of Docker 20.10.24: a port and a volume, --volumes-from it, a network of one's own with an address, the network of that."""
    real = {one["name"]: one for one in json.loads(recorded("docker", "containers-20.10.24.json"))}
    numbers = {name: json.loads(one["config"])["ID"] for name, one in real.items()}
    read = container_record.with_needs(
        [container_record.parse(numbers[name], one["config"], one["hostconfig"]) for name, one in real.items()]
    )
    names = {number: name for name, number in numbers.items()}
    assert {one.name: [names[need] for need in one.needs] for one in read} == {
        "plain": [],
        "froms": ["plain"],
        "static": [],
        "beside": ["static"],
    }
    assert all(one.running and not one.paused and one.driver == "overlay2" for one in read)
    for name, one in real.items():
        changed = container_record.with_driver(numbers[name], one["config"], "devicemapper", "overlay2", ran=True)
        assert changed == one["config"].replace('"Driver":"overlay2"', '"Driver":"devicemapper"')
