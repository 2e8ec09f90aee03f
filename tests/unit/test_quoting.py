"""Names that others chose, in sentences and in commands to paste."""

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from module_utils.direct_lvm.model import Refused
from module_utils.direct_lvm.quoting import paste, pasted, printable

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
