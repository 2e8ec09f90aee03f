"""A misspelt variable is refused by name; all that the roles define is known."""

import pathlib
import re

import pytest
import yaml

from module_utils.direct_lvm.apply.variables import BY_PLAYBOOK, INTERNAL, OTHERS, check_variables, settable
from module_utils.direct_lvm.model.errors import Refused

ROOT = pathlib.Path(__file__).resolve().parents[3]
MISSPELT = [
    ("thin_pool_data_siz", "thin_pool_data_size"),
    ("thin_pool_device", "thin_pool_devices"),
    ("thin_pool_autoextend_treshold", "thin_pool_autoextend_threshold"),
    ("docker_storage_option", "docker_storage_options"),
    ("containerd_storage_rootpath", "containerd_storage_root_path"),
    ("docker_storage_archive_dir", "image_archive_dir"),  # the module's own name for it
    ("image_archive_directory", None),
    ("image_archive_dirs", "image_archive_dir"),
    ("containerd_storage_config", "containerd_storage_config_file"),
    ("docker_storage_driver", None),  # another role's
    ("thin_pool_owner", None),
    ("thin_pool_", None),
    ("other", None),
]


@pytest.mark.parametrize(("name", "right"), MISSPELT)
def test_a_misspelt_variable_is_refused_with_the_right_name(name, right):
    if right is None:
        check_variables([name])
        return
    with pytest.raises(Refused) as refusal:
        check_variables(["thin_pool_vg", name])
    assert refusal.value.what.startswith(name + " is not a variable of this tool")
    assert refusal.value.way_out.startswith("Use %s instead." % right)


@pytest.mark.parametrize("name", sorted(BY_PLAYBOOK))
def test_what_a_playbook_says_is_no_variable_any_more(name):
    with pytest.raises(Refused) as refusal:
        check_variables(["thin_pool_vg", name])
    assert refusal.value.what.startswith(name + " is not a variable of this tool")
    playbooks = re.findall(r"\w+\.yml", refusal.value.way_out)
    assert playbooks
    assert [one for one in playbooks if not (ROOT / "playbooks" / one).exists()] == []


def made():
    """The names with one of the prefixes that roles and playbooks define, register or read."""
    text = "".join(path.read_text() for folder in ("roles", "playbooks") for path in (ROOT / folder).rglob("*.yml"))
    prefixes = "|".join(OTHERS)
    return set(re.findall(r"(?<![\w/.-])((?:%s)[a-z_]+)\b" % prefixes, text)) - set(OTHERS)


def test_every_variable_of_the_roles_is_known():
    check_variables(made())
    internal = {prefix + name for prefix, names in INTERNAL.items() for name in names.split()}
    assert internal <= made()
    specs = [yaml.safe_load(path.read_text()) for path in ROOT.glob("roles/*/meta/argument_specs.yml")]
    entries = [entry for spec in specs for entry in spec["argument_specs"].values()]
    options = {name for entry in entries for name in entry["options"] if name.startswith(tuple(OTHERS))}
    assert options <= set(settable())


def test_the_names_are_those_that_the_role_asks_for():
    task = yaml.safe_load((ROOT / "roles" / "preflight" / "tasks" / "look.yml").read_text())[0]
    (pattern,) = re.findall(r"varnames', '(.*)'\)", task["direct_lvm"]["variables"])
    assert {one + "_" for one in re.match(r"\^\((.*)\)_", pattern).group(1).split("|")} == set(OTHERS)
