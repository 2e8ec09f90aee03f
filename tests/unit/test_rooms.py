"""Imports between the packages of module_utils/direct_lvm point one way, and the unit tests mirror them."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE = ROOT / "module_utils" / "direct_lvm"
ORDER = {  # package: what it may import
    "model": set(),
    "texts": {"model"},
    "host": {"model", "texts"},
    "images": {"model", "texts", "host"},
    "facts": {"model", "texts", "host", "images"},
    "plan": {"model", "texts"},
    "apply": {"model", "texts", "host", "images", "facts", "plan"},
}
TESTS = sorted((ROOT / "tests" / "unit").rglob("*.py"))


def imported(path):
    """Names of the modules that a file imports, relative ones with their leading dots."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("package", sorted(path.name for path in CODE.iterdir() if path.is_dir() and path.name != "__pycache__"))
def test_a_package_imports_only_those_below_it(package):
    files = sorted((CODE / package).glob("*.py"))
    assert files
    other = {name[2:].split(".")[0] for path in files for name in imported(path) if name.startswith("..")}
    assert other - ORDER[package] == set()
    assert len(files) - 1 <= 15  # without __init__.py


def test_no_test_imports_a_test():
    assert [(path.name, name) for path in TESTS for name in imported(path) if name.split(".")[-1].startswith("test_")] == [
        ("test_docs.py", "test_playbooks")  # the lines of the pages that run on a guest
    ]


def test_tests_of_a_package_are_in_the_folder_of_its_name():
    folders = {path.parent.name for path in TESTS} - {"unit"}
    assert folders <= set(ORDER)
