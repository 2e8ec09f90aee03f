"""The Makefile: its help, the names of its targets, and recipes that need no second look."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Makefile").read_text(encoding="utf-8")
HELP = TEXT.split("\n\n")[0]
RECIPES = re.findall(r"^\t(.*)$", TEXT, re.M)
RULES = {  # target: what it needs
    target: needed.replace("|", "").split()
    for target, needed in re.findall(r"^([\w./%-]+):(?!=)(.*)$", TEXT, re.M)
    if target != ".PHONY"
}
VERBS = "demo|test|bench|build|setup"


def test_help_lists_every_target_of_the_makefile():
    phony = {name for line in re.findall(r"^\.PHONY:(.*)$", TEXT, re.M) for name in line.split()}
    listed = re.findall(r"^#   make ([\w-]+) ", HELP, re.M)
    assert sorted(listed) == sorted(phony - {"help"})
    assert {target for target in RULES if not target.startswith(".")} == phony | {"build-image-%"}


def test_a_target_is_a_verb_and_what_it_is_about_or_a_file():
    names = re.compile(r"(%s)(-[\w-]+|-image-%%)?$|\.venv/|help$" % VERBS)
    assert [target for target in RULES if not names.match(target)] == []


def test_make_test_is_the_group_of_help_that_has_its_name():
    (group,) = re.findall(r"^# Test\n((?:#   .*\n)*)", HELP, re.M)
    assert re.findall(r"make ([\w-]+) ", group) == ["test", *RULES["test"]]


def test_a_longer_form_of_a_test_has_its_name_and_a_word_more():
    longer = [target for target in RULES if target.endswith(("-all", "-long"))]
    assert len(longer) > 3
    assert [target for target in longer if target.rpartition("-")[0] not in RULES] == []


def test_a_recipe_is_plain_commands():
    """Loops, conditions, pipes and lists of commands are for a script."""
    assert len(RECIPES) > 40
    clever = re.compile(r"\\$|[|;`]|\$\$\(|&&.*&&")
    assert [line for line in RECIPES if clever.search(line) and not line.startswith("@sed ")] == []


def test_what_a_target_needs_is_among_its_prerequisites():
    assert [line for line in RECIPES if re.search(r"\$\(MAKE\)|\bapt-get\b", line)] == []
