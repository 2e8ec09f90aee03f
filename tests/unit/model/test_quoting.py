"""Names that others chose, in sentences and in commands to paste."""

import ast
import os
import pathlib
import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Disk
from module_utils.direct_lvm.model.quoting import openers, paste, pasted, printable
from module_utils.direct_lvm.plan import blank

NAMES = [
    "/dev/sdb",
    "a b",
    "a;reboot",
    "$(reboot)",
    "it's",
    "a\nb",
    "\x1b[2J",
    "\udcff\udc80",
    "\\x41'\n",
    "\u202egpj.sh",
    "",
    "\x7f",
]
# What a path may hold: any bytes but NUL, as Python decodes them.
PATHS = st.one_of(st.sampled_from(NAMES), st.binary(min_size=1).map(lambda found: os.fsdecode(found.replace(b"\0", b"/"))))


@pytest.mark.parametrize(
    ("name", "pasted"),
    [("/dev/sdb", "/dev/sdb"), ("a b", "'a b'"), ("a\nb", r"$'a\x0ab'"), ("\udcff'\\", r"$'\xff\'\\'")],
)
def test_a_word_as_a_person_would_quote_it(name, pasted):
    assert paste(name) == pasted


@given(st.lists(PATHS, min_size=1, max_size=5))
def test_the_shell_reads_back_what_was_meant(names):
    line = pasted(names)
    assert line.isprintable()
    said = subprocess.run(["bash", "-c", "printf '%s\\0' x " + line], stdout=subprocess.PIPE, check=True).stdout
    assert said.split(b"\0")[1:-1] == [os.fsencode(name) for name in names]


@given(PATHS)
def test_a_name_in_a_sentence_stays_on_its_line(name):
    assert printable(name).isprintable()
    assert printable(name) == name or not name.isprintable()


@given(st.text(), st.text())
def test_no_refusal_holds_what_a_terminal_obeys(what, way_out):
    refusal = Refused(what, way_out)
    for text in (refusal.what, refusal.way_out, str(refusal)):
        assert not [one for one in text if one not in "\n\t" and (ord(one) < 32 or 127 <= ord(one) < 160 or one in "\u202e\u2028")]
        text.encode("utf-8")  # no lone surrogate, which no JSON takes
    assert refusal.what.count("\n") == what.count("\n")


# --- every command to paste ------------------------------------------------------------------------------------

ROOT = pathlib.Path(__file__).resolve().parents[3]
SOURCES = sorted([*(ROOT / "module_utils" / "direct_lvm").rglob("*.py"), *(ROOT / "library").glob("*.py")])
# What may stand in a command to paste as it is. LVM's names have letters, digits and +_.- only (lvm(8), VALID NAMES).
HARMLESS = (
    r".*\b(paste|pasted|quote)\b.*",
    r"way_out|\w+\.way_out|better|by_hand|copy|put_back|\*?names|_way_out\(.*",  # put together before, of pasted words
    r"(instead|client|openers|afresh|set_aside|needs_check\.(on_the_host|by_hand))\(.*\)|needs_check\.REPAIR",  # the same
    r"settings\.lines\.get\(.*|section|setting|text|'\\n' \+ more if more else ''|see\(.*\)",  # lvm.conf's words
    r"(lv|pool)\.discards",  # LVM's
    r"(pool|vg|pv)\.(vg|name)|full\(.*\)|device_name\(pool\)|device|\(vg\.name,\) \* 2|.*vg\.uuid.*",  # LVM's names
    r".*(size|geometry\.human\().*|tag\[.*",  # numbers
    r"[A-Z_]+|remake|first|settable|rule\[1\]|suffix|folder|.*part\.(debian|redhat).*|client\.(clean|name\.lower\(\))",  # ours
    r"desired\.config_file",  # the play's, with the characters that spec.py allows
    r"' '\.join\(printed\.split\(\)\)",  # what Docker said, as such
)
PROSE = r"path|where|root|docker\.root|starts\[-1\]\.path"  # may stand behind these words of a sentence, which no shell reads
BEHIND = r"(out of|If|If it is|backup of|metadata of|ExecStart in|in) $"


def interpolated(node):
    """[(the text before it or "", expression)] of what is put into the text of an expression."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        given = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
        texts = re.split(r"%[a-z.0-9]+", "".join(one.value for one in ast.walk(node.left) if isinstance(one, ast.Constant)))
        return interpolated(node.left) + list(zip(texts, given))
    if isinstance(node, ast.BinOp):
        return interpolated(node.left) + interpolated(node.right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return interpolated(node.func.value) + [("", one) for one in node.args]
    if isinstance(node, ast.IfExp):
        return interpolated(node.body) + interpolated(node.orelse)
    return [] if isinstance(node, ast.Constant) else [("", node)]


def refusals(path):
    """[(line, text before, expression)] of all that the ways out in a file are made of."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
        if name in ("Refused", "Disturbed", "Damaged") and node.args[1:]:
            for before, one in interpolated(node.args[1]):
                yield one.lineno, before, ast.unparse(one)


@pytest.mark.skipif(not hasattr(ast, "unparse"), reason="Python before 3.9 cannot print what it read")
def test_every_name_of_the_host_in_a_command_to_paste_is_quoted():
    found = [("%s:%d" % (path.name, line), before, text) for path in SOURCES for line, before, text in refusals(path)]
    assert len(found) > 80
    prose = [one for one in found if re.fullmatch(PROSE, one[2])]
    assert [one for one in prose if not re.search(BEHIND, one[1])] == []
    assert [one for one in found if one not in prose and not any(re.fullmatch(known, one[2]) for known in HARMLESS)] == []


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_stay_one_word_of_the_command(name, monkeypatch):
    disk = Disk("/dev/sdb", "/dev/sdb", mounts=("/media/" + name,))
    with pytest.raises(Refused) as refusal:
        blank.check_in_use(disk)
    assert words_after(refusal, "umount ")[0] == "/media/" + name
    other = disk._replace(mounts=(), path="/dev/mapper/" + name, asked="/dev/mapper/" + name, in_use="busy")
    with pytest.raises(Refused) as refusal:
        blank.check_in_use(other)
    assert words_after(refusal, "$(stat -Lc '%F %t:%T' ", ') "') == ["/dev/mapper/" + name]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no Linux host")
def test_the_command_that_shows_who_has_a_device_open_shows_it():
    with open("/dev/full", "rb"):  # what hardly anybody has open
        said = subprocess.run(
            ["sh", "-c", openers("/dev/full")], stdout=subprocess.PIPE, universal_newlines=True, check=True
        ).stdout
    assert "/proc/%d/fd/" % os.getpid() in said
    assert {line.partition("/proc/")[0] for line in said.splitlines()} == {"character special file 1:7 "}


def words_after(refusal, start, end=", take it out"):
    """The words that bash reads behind the start of a command in a way out, up to the sentence's next part."""
    line = refusal.value.way_out.partition(start)[2]
    line = line.rpartition(end)[0] or line
    said = subprocess.run(["bash", "-c", "printf '%s\\0' x " + line], stdout=subprocess.PIPE, check=True).stdout
    return [os.fsdecode(one) for one in said.split(b"\0")[1:-1]]
