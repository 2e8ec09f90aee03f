"""What is said twice must be the same: argument specs, defaults, module documentation, tasks, templates."""

import pathlib
import re

import pytest
import yaml
from role_variables import defaults, load, variables

from module_utils.direct_lvm.apply import smoke, trim
from module_utils.direct_lvm.apply.arguments import ARGUMENTS, INFO_ARGUMENTS
from module_utils.direct_lvm.apply.spec import read_spec
from module_utils.direct_lvm.images import images
from module_utils.direct_lvm.model.names import MANAGED
from module_utils.direct_lvm.model.spec import ContainerdStorage, DockerStorage, Pool
from module_utils.direct_lvm.texts import own_files

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
DOCUMENTED = {
    name: yaml.safe_load((ROOT / "library" / (name + ".py")).read_text().split('r"""')[1].split('"""')[0])["options"]
    for name in ("direct_lvm", "direct_lvm_info", "direct_lvm_images", "direct_lvm_smoke_test", "direct_lvm_trim")
}


@pytest.mark.parametrize("role", ROLES)
def test_defaults_are_the_argument_specs_defaults(role):
    entries = load("roles", role, "meta", "argument_specs.yml")["argument_specs"]
    assert {entry for entry in entries if not (ROOT / "roles" / role / "tasks" / (entry + ".yml")).exists()} == set()
    options = {name: option for entry in entries.values() for name, option in entry["options"].items()}
    assert len(options) == sum(len(entry["options"]) for entry in entries.values())
    specified = {name: option["default"] for name, option in options.items() if "default" in option}
    assert load("roles", role, "defaults", "main.yml") == specified
    for name, option in options.items():
        assert ("default" in option) != option.get("required", False), name


def test_role_defaults_are_the_modules_defaults():
    for parameter, prefix in (("pool", "thin_pool_"), ("docker", "docker_storage_"), ("containerd", "containerd_storage_")):
        defaults = load("roles", prefix.rstrip("_"), "defaults", "main.yml")
        for name, option in ARGUMENTS[parameter]["options"].items():
            if prefix + name in defaults:
                assert defaults[prefix + name] == option["default"], name


def test_the_models_defaults_are_the_modules_defaults():
    given = {
        name: {key: one.get("default") for key, one in ARGUMENTS[name]["options"].items()}
        for name in ("pool", "docker", "containerd")
    }
    given["pool"]["devices"] = ["/dev/sdb"]
    spec = read_spec(dict(given, goal="provision", lock_timeout=600, command_timeout=120))
    assert spec.pool == Pool(devices=("/dev/sdb",))
    assert spec.docker == DockerStorage("auto", given["docker"]["dropin"])
    assert spec.containerd == ContainerdStorage(given["containerd"]["config_file"], given["containerd"]["dropin"])


def test_an_option_is_written_where_contributing_says():
    folders = ("roles", "playbooks", "library", "module_utils", "templates")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".yml", ".j2")]
    name = r"(?<!activation/)error_when_full"  # LVM's own setting has that name too
    using = {str(path.relative_to(ROOT)) for path in files if re.search(name, path.read_text(encoding="utf-8"))}
    page = (ROOT / "CONTRIBUTING.md").read_text().split("## Add a variable")[1].split("## Documentation")[0]
    listed = set(re.findall(r"`((?:roles|library|module_utils)/[^`]*)`", page))
    assert using <= listed
    # It has no choices, and needs no reading.
    assert listed - using == {"module_utils/direct_lvm/apply/arguments.py", "module_utils/direct_lvm/apply/spec.py"}
    assert len(using) == 6


def compare(documented, arguments):
    """Documentation and argument spec name the same options, types, defaults and choices, all the way down."""
    assert set(documented) == set(arguments)
    for name, option in documented.items():
        for key in ("type", "default", "choices", "elements", "required"):
            assert option.get(key) == arguments[name].get(key), (name, key)
        if "suboptions" in option:
            compare(option["suboptions"], arguments[name]["options"])


def test_documentation_is_the_argument_spec():
    compare(DOCUMENTED["direct_lvm"], ARGUMENTS)
    compare(DOCUMENTED["direct_lvm_info"], INFO_ARGUMENTS)
    compare(DOCUMENTED["direct_lvm_images"], images.ARGUMENTS)
    compare(DOCUMENTED["direct_lvm_smoke_test"], smoke.ARGUMENTS)
    compare(DOCUMENTED["direct_lvm_trim"], trim.ARGUMENTS)


@pytest.mark.parametrize("module", DOCUMENTED)
def test_all_documentation_is_yaml(module):
    text = (ROOT / "library" / (module + ".py")).read_text()
    for name in ("EXAMPLES", "RETURN"):
        assert yaml.safe_load(text.split(name + ' = r"""')[1].split('"""')[0]), name


def tasks():
    """Every task of roles, playbooks and molecule as (file, task)."""
    for folder in ("roles", "playbooks", "molecule"):
        for path in sorted((ROOT / folder).rglob("*.yml")):
            if "vars" in path.parts or "meta" in path.parts or "defaults" in path.parts:
                continue
            todo = yaml.safe_load(path.read_text())
            todo = list(todo) if isinstance(todo, list) else []
            while todo:
                task = todo.pop()
                for key in ("tasks", "pre_tasks", "post_tasks", "block", "rescue", "always", "handlers"):
                    todo += task.get(key, [])
                yield path.relative_to(ROOT), task


def unknown(given, options):
    """The names in given that are no options, suboptions with their option before them. What a template makes is not looked at."""
    names = []
    for name, value in given.items():
        option = options.get(name)
        if option is None:
            names.append(name)
        elif "suboptions" in option:
            for part in value if isinstance(value, list) else [value]:
                names += [name + "." + inner for inner in unknown(part if isinstance(part, dict) else {}, option["suboptions"])]
    return names


def ours(task):
    """What a task gives to a module of ours, as [(given, that module's options)], by its short or its full name."""
    modules = [(prefix + module, DOCUMENTED[module]) for module in DOCUMENTED for prefix in ("", "lvmops.direct_lvm.")]
    return [(task[name] or {}, options) for name, options in modules if name in task]


def test_tasks_use_only_options_that_our_modules_have():
    calls = [(path, task, given, options) for path, task in tasks() for given, options in ours(task)]
    assert len(calls) >= 5
    for path, task, given, options in calls:
        assert unknown(given, options) == [], "%s: %s" % (path, task["name"])


@pytest.mark.parametrize(
    ("task", "names"),
    [
        pytest.param("direct_lvm: {pool: {devices: [/dev/sdb]}, docker: '{{ desired }}'}", [], id="all-known"),
        pytest.param("direct_lvm: {pol: {}, goal: provision}", ["pol"], id="option"),
        pytest.param("direct_lvm: {pool: {device: [/dev/sdb]}}", ["pool.device"], id="suboption"),
        pytest.param("direct_lvm: {pool: {wipe: [{device: a, signatur: b}]}}", ["pool.wipe.signatur"], id="suboption-in-a-list"),
        pytest.param("direct_lvm: {docker: {options: {dm.basesize: 20G}}}", [], id="free-form"),
        pytest.param("lvmops.direct_lvm.direct_lvm_images: {directory: /var}", ["directory"], id="full-name"),
    ],
)
def test_a_misspelt_option_is_found(task, names):
    ((given, options),) = ours(yaml.safe_load(task))
    assert unknown(given, options) == names


def test_galaxy_reads_of_a_role_what_its_argument_specs_say():
    for role in ROLES:
        specified = load("roles", role, "meta", "argument_specs.yml")["argument_specs"]["main"]
        assert load("roles", role, "meta", "main.yml")["galaxy_info"]["description"] == specified["short_description"]


def test_the_hooks_are_what_make_test_lint_runs_in_the_same_versions():
    (repository,) = load(".pre-commit-config.yaml")["repos"]
    pinned = (ROOT / "requirements.txt").read_text().splitlines()
    recipe = (ROOT / "Makefile").read_text().split("\ntest-lint:")[1].split("\n\n")[0]
    for hook in repository["hooks"]:
        assert hook["entry"] in recipe
        assert set(hook["additional_dependencies"]) <= set(pinned)


def test_what_the_roles_put_together_is_what_the_module_takes():
    for parameter, role in (("pool", "thin_pool"), ("docker", "docker_storage"), ("containerd", "containerd_storage")):
        desired = variables()[role + "_desired"]
        by_task = {"load_images", "verify_archives"}
        assert set(desired) == set(DOCUMENTED["direct_lvm"][parameter]["suboptions"]) - by_task


def desired(**changes):
    """The Spec that the roles give to the module, with these variables."""
    made = variables(**changes)
    given = {
        name: made[role + "_desired"]
        for name, role in (("pool", "thin_pool"), ("docker", "docker_storage"), ("containerd", "containerd_storage"))
    }
    given["docker"] = dict(given["docker"], load_images=True, verify_archives=True)
    return read_spec(dict(given, goal="provision", lock_timeout=600, command_timeout=120))


def test_the_profile():
    text = own_files.profile(desired().pool)
    assert text.startswith(MANAGED + "\n")
    assert "\tthin_pool_autoextend_threshold=80\n\tthin_pool_autoextend_percent=20\n" in text


def dropin(**changes):
    """Docker's drop-in with these variables, for a unit that starts /usr/bin/dockerd."""
    spec = desired(**changes)
    return own_files.docker_dropin(spec.pool, spec.docker, "/usr/bin/dockerd")


def test_the_dropin_is_the_articles_with_the_units_own_command():
    lines = dropin().splitlines()
    assert lines[0] == MANAGED
    assert [line for line in lines if not line.startswith("#")] == [
        "[Service]",
        "ExecStart=",
        "ExecStart=/usr/bin/dockerd --storage-driver=devicemapper"
        " --storage-opt dm.thinpooldev=/dev/mapper/vgdocker-thinpool --storage-opt dm.use_deferred_removal=true",
        "ExecStartPre=/sbin/lvm lvchange --activate y vgdocker/thinpool",
    ]


def test_daemon_json_says_the_same_as_the_dropin():
    options = {"dm.basesize": "20G"}
    flags = dropin(docker_storage_options=options).split("/usr/bin/dockerd")[1].split("\n")[0]
    spec = desired(docker_storage_options=options, docker_storage_config="daemon_json")
    settings = own_files.docker_settings(spec.pool, spec.docker)
    said = ["--storage-driver=" + settings["storage-driver"]]
    said += [word for option in settings["storage-opts"] for word in ("--storage-opt", option)]
    assert flags.split() == said
    assert own_files.docker_settings(desired().pool, desired().docker) == {}
    assert "ExecStart=" not in dropin(docker_storage_config="daemon_json")


def test_the_dropin_carries_extra_options_and_escaped_names():
    text = dropin(docker_storage_options={"dm.basesize": "20G"}, thin_pool_vg="vg-a")
    assert "dm.thinpooldev=/dev/mapper/vg--a-thinpool " in text
    assert " --storage-opt dm.basesize=20G\n" in text


def test_a_percent_sign_is_not_one_of_systemds_specifiers():
    options = {"dm.min_free_space": "5%"}
    assert " --storage-opt dm.min_free_space=5%%\n" in dropin(docker_storage_options=options)
    spec = desired(docker_storage_options=options, docker_storage_config="daemon_json")
    assert "dm.min_free_space=5%" in own_files.docker_settings(spec.pool, spec.docker)["storage-opts"]


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({}, {}),
        ({"thin_pool_vg": "vg-a", "thin_pool_name": "p-1"}, {"pool_name": "vg--a-p--1"}),
        ({"containerd_storage_fs_options": "-E nodiscard"}, {"fs_options": "-E nodiscard"}),
        ({"containerd_storage_fs_type": "xfs", "containerd_storage_discard_blocks": False},
         {"fs_type": "xfs", "discard_blocks": False}),
        ({"containerd_storage_async_remove": True, "containerd_storage_base_image_size": "25GB"},
         {"async_remove": True, "base_image_size": "25GB"}),
        ({"containerd_storage_root_path": "/srv/dm"}, {"root_path": "/srv/dm"}),
    ],
    ids=["defaults", "hyphens", "file-system-options", "file-system", "removal-and-size", "folder"],
)  # fmt: skip
def test_containerds_file_is_toml_of_each_version(version, changes, settings):
    tomllib = pytest.importorskip("tomllib")
    defaults = {
        "pool_name": "vgdocker-thinpool",
        "root_path": "/var/lib/containerd/devmapper",
        "base_image_size": "10GB",
        "discard_blocks": True,
        "async_remove": False,
        "fs_type": "ext4",
    }
    plugin = "devmapper" if version == 1 else "io.containerd.snapshotter.v1.devmapper"
    parsed = tomllib.loads(own_files.containerd_config(desired(**changes).pool, desired(**changes).containerd, version))
    assert parsed == {"version": version, "plugins": {plugin: dict(defaults, **settings)}}


def test_containerds_dropin_activates_the_pool_and_carries_the_checksum():
    spec = desired(thin_pool_vg="vg-a")
    text = own_files.containerd_dropin(spec.pool, spec.containerd, "0123")
    assert text.startswith(MANAGED + "\n")
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        "[Service]",
        "ExecStartPre=/sbin/lvm lvchange --activate y vg-a/thinpool",
        "Environment=%s=0123" % own_files.VARIABLE,
    ]


def test_the_articles_variables_exist():
    assert set(load("playbooks", "vars", "article.yml")) <= set(defaults())


def test_no_label_and_no_name_of_a_task_shows_what_a_host_returned_as_it_is():
    """Ansible writes both to the terminal as they are; what a debug or a failure says it quotes."""
    clean = "regex_replace('[^ -~]', '?')"
    folders = ("roles/*/tasks/*.yml", "playbooks/*.yml", "playbooks/hooks/**/*.yml")
    files = [path for folder in folders for path in ROOT.glob(folder)]
    shown = [
        (path.name, line.strip())
        for path in files
        for line in path.read_text().splitlines()
        if re.search(r"^\s*(- name|label):.*\{\{", line) and "{{ tenth }}" not in line
    ]
    assert shown, "no label is left: take this test away"
    assert [line for line in shown if clean not in line[1]] == []
