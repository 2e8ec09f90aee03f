"""What the pages say is true: each command in them is one that works, and each name, path and link leads somewhere.

A command stands in a `console` block: `$ ` for the controller, read here without being carried out; `# ` for a host. The playbooks
are run on a guest by tests/guest/test_playbooks.py, the commands for a host by tests/guest/test_docs.py; their tables are held to
the pages here.
"""

import ast
import json
import os
import pathlib
import re
import runpy
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
}
PLAYBOOKS = {path.name: path for path in (ROOT / "playbooks").glob("*.yml")}
HOOKS = sorted((ROOT / "playbooks" / "hooks").rglob("*.yml"))
GUEST_TEST = (ROOT / "tests" / "guest" / "test_docs.py").read_text(encoding="utf-8")
FOLDERS = "benchmarks|docs|inventory|lab|library|module_utils|molecule|playbooks|roles|sweeps|templates|tests"


def lines():
    """[(page, line)] of all console blocks."""
    blocks = re.compile("```console\n(.*?)```", re.DOTALL)
    return [(page, line) for page, text in PAGES.items() for block in blocks.findall(text) for line in block.splitlines()]


def commands(prompt):
    """[command] behind a prompt, each once, without its comment; of `a && b` both."""
    found = [part for _page, line in lines() if line.startswith(prompt) for part in line[len(prompt) :].split(" && ")]
    return sorted({re.sub(r"\s+# .*", "", command).strip() for command in found})


def options():
    """The names of all variables of the roles."""
    specs = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in ROOT.glob("roles/*/meta/argument_specs.yml")]
    return {name for spec in specs for entry in spec["argument_specs"].values() for name in entry["options"]}


def words_of(playbook):
    """All words in a playbook, comments not counted: its own variables are among them."""
    return set(re.findall(r"\w+", json.dumps(yaml.safe_load(playbook.read_text(encoding="utf-8")))))


def playbook_of(words):
    """The file of the playbook on an ansible-playbook command line, by its path or by its name in the collection."""
    (name,) = [word for word in words if word.startswith(("playbooks/", "lvmops.direct_lvm."))]
    return PLAYBOOKS[name.split("/")[-1] if "/" in name else name.split(".")[-1] + ".yml"]


def given_variables(words):
    """The names of the variables that -e gives, of those in a file too."""
    names = set()
    for flag, value in zip(words, words[1:]):
        if flag == "-e" and value.startswith("@"):
            names |= set(yaml.safe_load((ROOT / value[1:]).read_text(encoding="utf-8")))
        elif flag == "-e":
            names |= set(json.loads(value)) if value.startswith("{") else {value.split("=")[0]}
    return names


def silent(argv):
    """Run a command in the project, as from a shell outside of make, and return (return code, all that it printed)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    environment["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "universal_newlines": True}
    done = subprocess.run(argv, cwd=str(ROOT), env=environment, **out)
    return done.returncode, done.stdout


def check_make(words):
    """make knows the target, and all that it needs."""
    if not shutil.which("make"):
        pytest.skip("no make here")
    rc, printed = silent(["make", "--dry-run", *words[1:]])
    assert rc == 0, printed


def check_playbook(words):
    """The playbook is there, and every variable given is one of a role, or the playbook's own."""
    assert words[1:3] == ["-i", "inventory"]
    assert given_variables(words) <= options() | words_of(playbook_of(words))


def check_galaxy(words):
    """It installs what `make build-collection` builds; tests/collection does."""
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    assert words[1:] == ["collection", "install", "build/%s-%s-*.tar.gz" % (galaxy["namespace"], galaxy["name"])]


def check_pytest(words):
    """The test file is there, and has a test of that name."""
    text = (ROOT / words[1]).read_text(encoding="utf-8")
    assert words[2:3] in ([], ["-k"])
    assert all(re.search(r"def test_\w*" + word, text) for word in words[3:])


def check_python(words):
    """The program knows the verb."""
    if sys.version_info < (3, 9):
        pytest.skip("the lab is for controllers")
    rc, printed = silent([sys.executable, *words[1:3], "--help"])
    assert rc == 0, printed


CHECKS = {
    "make": check_make,
    "ansible-playbook": check_playbook,
    "ansible-galaxy": check_galaxy,
    "pytest": check_pytest,
    "python3": check_python,
}


def test_console_blocks_have_nothing_but_commands():
    assert [(page, line) for page, line in lines() if not re.match(r"[$#] \S", line)] == []
    assert len(commands("$ ")) > 20
    assert len(commands("# ")) > 10


@pytest.mark.parametrize("command", commands("$ "))
def test_a_command_for_the_controller(command):
    words = [word for word in shlex.split(command) if not re.match(r"[A-Z_]+=", word)]
    CHECKS[words[0].split("/")[-1]](words)


def test_ansible_reads_the_playbooks_of_the_commands():
    """All at once, for Ansible's start is what takes long. Those by their full names: tests/collection."""
    if not shutil.which("ansible-playbook"):
        pytest.skip("no Ansible here")
    named = {word for command in commands("$ ") for word in shlex.split(command) if word.startswith("playbooks/")}
    assert len(named) > 4
    rc, printed = silent(["ansible-playbook", "-i", "localhost,", "--syntax-check", *sorted(named)])
    assert rc == 0, printed


def test_commands_for_a_host_are_those_that_run_on_a_guest():
    (table,) = [
        node.value
        for node in ast.parse(GUEST_TEST).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "SITUATIONS"
    ]
    situations = ast.literal_eval(table)
    assert sorted({command for _before, given, _after in situations.values() for command in given}) == commands("# ")


def test_lines_with_a_playbook_are_those_that_run_on_a_guest():
    pytest.importorskip("ansible", reason="no Ansible here")
    from test_playbooks import LINES, UPGRADES  # which needs Ansible

    given = {"ansible-playbook -i inventory " + line.arguments for line in LINES + UPGRADES}
    assert [line for line in commands("$ ") if line.startswith("ansible-playbook ") and line not in given] == []


def test_targets_of_make_in_the_text_are_there():
    named = {name for text in PAGES.values() for name in re.findall(r"`make ([\w-]+)", text)}
    rules = re.findall(r"^([\w -]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(named) > 5
    assert named - {target for rule in rules for target in rule.split()} == set()


def test_readme_has_every_playbook():
    rows = re.findall(r"^\| `(\w+\.yml)` \|", PAGES["README.md"], re.MULTILINE)
    assert sorted(rows) == sorted(PLAYBOOKS)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_names_of_variables_are_those_of_the_roles_and_playbooks(page):
    prefixes = "|".join(sorted(path.name for path in (ROOT / "roles").iterdir()) + ["fleet", "upgrade"])
    named = set(re.findall(r"`((?:%s)_\w+)[`:=]" % prefixes, PAGES[page]))
    known = options().union(*(words_of(tasks) for tasks in [*PLAYBOOKS.values(), *HOOKS]))
    assert named - known == set()


@pytest.mark.parametrize("page", sorted(PAGES))
def test_paths_and_links_lead_somewhere(page):
    text = PAGES[page]
    for path in re.findall(r"`((?:%s)/[^`\s]*)`" % FOLDERS, text):
        assert list(ROOT.glob(path.rstrip("/"))), path
    for target in re.findall(r"\]\(([^)]+)\)", text):
        name, _, heading = target.partition("#")
        linked = (ROOT / page).parent / name
        assert linked.is_file(), target
        headings = re.findall("^#+ (.*)", linked.read_text(encoding="utf-8"), re.MULTILINE)
        assert not heading or heading in [title.lower().replace(" ", "-") for title in headings], target


@pytest.mark.parametrize("page", sorted(set(PAGES) - {"docs/variables.md"}))
def test_a_page_is_read_in_five_minutes(page):
    assert len(PAGES[page].split()) <= 1200


def test_the_reference_has_the_variables_of_playbooks_and_hooks():
    words = set().union(*(words_of(tasks) for tasks in [*PLAYBOOKS.values(), *HOOKS]))
    own = {word for word in words if re.match(r"fleet_|upgrade_(to|tasks)$|\w+_confirmed$", word)}
    assert len(own) > 8
    assert [word for word in sorted(own) if "`%s`" % word not in PAGES["docs/variables.md"]] == []


def test_the_reference_of_variables_is_what_the_argument_specs_say():
    assert PAGES["docs/variables.md"] == runpy.run_path(str(ROOT / "docs" / "variables.py"))["page"](), "run: make build-docs"
