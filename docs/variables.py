"""Write docs/variables.md from the roles' argument specs: `make build-docs`. A unit test fails when the file differs."""

import pathlib
import re

import jinja2
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
ORDER = ("thin_pool", "image_archive", "containerd_storage", "docker_storage", "verify")  # as playbooks/site.yml calls them
TEMPLATE = """\
# Variables

Set them in the inventory, for one host or for a group, or with `-e`. Only `thin_pool_devices` has no default.
This page is made from the roles' argument specs by `make build-docs`; so is `ansible-doc -t role` of the collection.
{% for role, spec in roles %}

## {{ role }}

{{ spec.short_description }}.

| variable | type | default | |
|---|---|---|---|
{% for name, option in spec.options.items() %}
| `{{ name }}` | {{ option | kind }} | {{ option | default_value }} | {{ option | told }} |
{% endfor %}
{% endfor %}

## Of the playbooks

These belong to no role. Give them with `-e`: play keywords such as `serial` do not see the variables of the inventory.

| variable | playbook | default | |
|---|---|---|---|
| `fleet_serial` | all that stop Docker, `replace.yml` | `[1, "10%", "30%"]` | how many hosts at a time |
| `fleet_max_fail_percentage` | the same | `10` | when more of a batch fail, no further batch starts |
| `docker_storage_cleanup_confirmed` | `cleanup.yml` | `false` | remove what it lists |
| `thin_pool_repair_confirmed` | `repair.yml` | `false` | carry out the reported steps |
| `upgrade_to` | `upgrade.yml` | `docker-devmapper` | `overlay2` leaves Docker there, and the pool as it is |
| `upgrade_tasks` | `upgrade.yml` | none | file of tasks that upgrade Docker on a host |

## Of the hooks

Those of `playbooks/hooks`, for the inventory. The balancer and the manager are hosts of it, reached by ssh and not the controller:

| variable | hook | default | |
|---|---|---|---|
| `fleet_swarm_manager` | `swarm_drain.yml`, `swarm_active.yml` | the host itself | name of a swarm manager in the inventory |
| `fleet_swarm_node` | the same | `inventory_hostname` | name of the host in the swarm, as `docker node ls` shows it |
| `fleet_load_balancer` | `load_balancer_out.yml`, `load_balancer_in.yml` | required | name of the balancer in the inventory |
| `fleet_backend` | the same | required | what HAProxy calls the host, `BACKEND/SERVER` |
| `fleet_haproxy_socket` | the same | `/run/haproxy/admin.sock` | whole path of HAProxy's administration socket |
| `fleet_drain_seconds` | `load_balancer_out.yml` | `30` | for how long open connections may continue |
"""


def kind(option):
    """str, [str] for a list, or the choices."""
    if "choices" in option:
        return ", ".join("`%s`" % choice for choice in option["choices"])
    return "[%s]" % option["elements"] if "elements" in option else option["type"]


def default_value(option):
    """The default as YAML, or that there must be a value."""
    if option.get("required"):
        return "required"
    value = option["default"]
    if isinstance(value, str) and "{{" in value:
        return "see there"
    return "`%s`" % yaml.safe_dump(value, default_flow_style=True, width=1000).replace("\n...", "").strip()


def told(option):
    """The description with Ansible's C(...) as Markdown's, and the options of a list's dictionaries."""
    description = option["description"]
    text = " ".join(description) if isinstance(description, list) else description
    for name, inner in option.get("options", {}).items():
        text += " `%s`: %s" % (name, told(inner))
    return re.sub(r"\bC\(([^)]*)\)", r"`\1`", " ".join(text.split())).replace("|", "\\|")


def roles():
    """[(name, argument spec)] of the roles' entry points that have variables: thin_pool, thin_pool (remove) ..."""
    names = sorted(path.name for path in (ROOT / "roles").iterdir())
    specs = []
    for name in sorted(names, key=lambda role: ORDER.index(role) if role in ORDER else len(ORDER)):
        text = (ROOT / "roles" / name / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
        for entry, spec in yaml.safe_load(text)["argument_specs"].items():
            specs.append((name if entry == "main" else "%s (%s)" % (name, entry), spec))
    return [(name, spec) for name, spec in specs if spec["options"]]


def page():
    """The text of docs/variables.md."""
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, autoescape=False)
    environment.filters.update(kind=kind, default_value=default_value, told=told)
    return environment.from_string(TEMPLATE).render(roles=roles())


if __name__ == "__main__":
    (ROOT / "docs" / "variables.md").write_text(page(), encoding="utf-8")
