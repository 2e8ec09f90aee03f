"""The variables of the roles, and the templates, as Ansible renders them; without Ansible, which the unit tests do not need."""

import json
import pathlib

import jinja2
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
JINJA = jinja2.Environment(
    loader=jinja2.FileSystemLoader(str(ROOT / "templates")),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)
JINJA.filters.update(to_json=json.dumps, bool=bool)


def load(*parts):
    """A YAML file of the project, {} when it is not there."""
    path = ROOT.joinpath(*parts)
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def defaults():
    """{name: value}: the defaults of all roles."""
    roles = [path.name for path in (ROOT / "roles").iterdir()]
    return {name: value for role in roles for name, value in load("roles", role, "defaults", "main.yml").items()}


def render(template, **changes):
    """A template with the defaults, changes, and nothing undefined."""
    return JINJA.get_template(template).render(dict(defaults(), **changes))


def variables(**changes):
    """{name: value}: the defaults, changes, and what the roles make of them, docker_storage_desired and the like."""
    known = dict(defaults(), thin_pool_devices=["/dev/sdb"], **changes)
    for role in ("thin_pool", "docker_storage", "containerd_storage"):
        for name, text in load("roles", role, "vars", "main.yml").items():
            if text.startswith("{{") and text.endswith("}}"):
                known[name] = JINJA.compile_expression(text[2:-2], undefined_to_none=False)(known)
            else:
                known[name] = JINJA.from_string(text).render(known)
    return known
