"""containerd's configuration as text: one line of config.toml changes, and it changes back to the same bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from states import recorded

from module_utils.direct_lvm.model.host import CONFIG, Unit
from module_utils.direct_lvm.model.names import MANAGED
from module_utils.direct_lvm.model.spec import ContainerdStorage, Pool
from module_utils.direct_lvm.texts import containerd_config as config
from module_utils.direct_lvm.texts import own_files
from module_utils.direct_lvm.texts.containerd_config import with_import, without_import

try:
    import tomllib
except ImportError:  # Python before 3.11
    tomllib = None

PATH = "/etc/containerd/conf.d/direct-lvm.toml"
LINE = 'imports = ["%s"]' % PATH
OURS = LINE + "  # direct_lvm\n"
TABLE = '[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "pause"\n'
CHANGED = [  # config.toml, the same with the import
    ("no-imports", "version = 2\n" + TABLE, OURS + "version = 2\n" + TABLE),
    ("empty-file", "", OURS),
    ("crlf", "version = 2\r\n[plugins]\r\n", OURS + "version = 2\r\n[plugins]\r\n"),
    ("no-line-end", "version = 2", OURS + "version = 2"),
    ("commented-out", "#imports = []\nversion = 2\n", OURS + "#imports = []\nversion = 2\n"),
    ("commented-out-and-ours", "# " + LINE + "\n", OURS + "# " + LINE + "\n"),
    ("inside-a-table", '[x]\nimports = ["/a"]\n', OURS + '[x]\nimports = ["/a"]\n'),
    ("inside-an-indented-table", "  [x]\n  imports = []\n", OURS + "  [x]\n  imports = []\n"),
    ("other-key-that-ends-so", "reimports = []\n", OURS + "reimports = []\n"),
    ("empty-array", "imports = []\n", LINE + "\n"),
    ("empty-array-with-a-blank", "imports=[ ]\n", 'imports=["%s" ]\n' % PATH),
    ("one", 'version = 3\nimports = ["/a"]\n[x]\n', 'version = 3\nimports = ["/a", "%s"]\n[x]\n' % PATH),
    ("many", 'imports = ["/a",  "/b" , "/c"]\n', 'imports = ["/a",  "/b" , "/c", "%s"]\n' % PATH),
    ("trailing-comma", 'imports = ["/a", ]\n', 'imports = ["/a", "%s", ]\n' % PATH),
    ("single-quotes", "imports = ['/a','/b']\n", "imports = ['/a','/b', \"%s\"]\n" % PATH),
    ("both-quotes", "imports = ['/a\"', \"/b'\"]\n", 'imports = [\'/a"\', "/b\'", "%s"]\n' % PATH),
    ("comment-after-it", 'imports = ["/a"] # keep\n', 'imports = ["/a", "%s"] # keep\n' % PATH),
    ("comment-with-an-array", 'imports = ["/a"] # was ["/a"]\n', 'imports = ["/a", "%s"] # was ["/a"]\n' % PATH),
    ("comment-that-names-ours", "imports = [] # not " + LINE + "\n", LINE + " # not " + LINE + "\n"),
    ("bracket-in-a-name", 'imports = ["/a[1]", "b"]\n', 'imports = ["/a[1]", "b", "%s"]\n' % PATH),
    ("empty-name", 'imports = [""]\n', 'imports = ["", "%s"]\n' % PATH),
    ("crlf-array", 'imports = ["/a"]\r\nversion = 2\r\n', 'imports = ["/a", "%s"]\r\nversion = 2\r\n' % PATH),
    ("indented", '\t imports =["/a"]\n', '\t imports =["/a", "%s"]\n' % PATH),
    ("another-folders-pattern", 'imports = ["/etc/containerd/*.toml"]\n', 'imports = ["/etc/containerd/*.toml", "%s"]\n' % PATH),
    ("a-pattern-for-others", 'imports = ["/etc/containerd/conf.d/a*"]\n', 'imports = ["/etc/containerd/conf.d/a*", "%s"]\n' % PATH),
    # Without an asterisk it is a name, whatever else is in it.
    (
        "question-mark",
        'imports = ["/etc/containerd/conf.d/direct?lvm.toml"]\n',
        'imports = ["/etc/containerd/conf.d/direct?lvm.toml", "%s"]\n' % PATH,
    ),
    # containerd 1 looks below its working folder, / as a service; containerd 2 below /etc/containerd.
    ("relative-pattern", 'imports = ["conf.d/*.toml"]\n', 'imports = ["conf.d/*.toml", "%s"]\n' % PATH),
]
IMPORTED = [
    ("by-path", '"%s"' % PATH),
    ("by-path-in-single-quotes", "'/a', '%s'" % PATH),
    ("by-path-not-normalised", '"/etc/containerd/./conf.d//direct-lvm.toml"'),
    ("by-pattern", '"/etc/containerd/conf.d/*.toml"'),
    ("by-pattern-of-the-name", '"/x", "/etc/containerd/conf.d/direct-*"'),
    ("relative", '"conf.d/direct-lvm.toml"'),
]


def ids(table):
    return [row[0] for row in table]


@pytest.mark.parametrize(("text", "changed"), [row[1:] for row in CHANGED], ids=ids(CHANGED))
def test_the_import_is_added_and_taken_out_again(text, changed):
    assert with_import(text, PATH) == changed
    assert with_import(changed, PATH) == changed
    assert without_import(changed, PATH) == text
    assert without_import(text, PATH) == text


@pytest.mark.parametrize("array", [row[1] for row in IMPORTED], ids=ids(IMPORTED))
def test_a_file_that_is_imported_already_is_left_alone(array):
    text = "version = 2\nimports = [%s] # theirs\n" % array
    assert with_import(text, PATH) == text


def test_without_a_config_toml_one_is_made_and_taken_away_whole():
    made = with_import(None, PATH)
    assert made == MANAGED + "\nversion = 2\n" + LINE + "\n"
    assert config.config_version(made) == 2
    assert with_import(made, PATH) == made
    assert without_import(made, PATH) is None
    assert without_import(None, PATH) is None
    assert without_import(made + "root = '/srv'\n", PATH) == MANAGED + "\nversion = 2\nimports = []\nroot = '/srv'\n"


@pytest.mark.parametrize(
    ("array", "left"),
    [
        ("['%s']" % PATH, "[]"),
        ('["%s",]' % PATH, "[]"),
        ('["%s" , ]' % PATH, "[ ]"),
        ('["%s", "/b"]' % PATH, '["/b"]'),
        ('["/a", "%s", "/b"] # x' % PATH, '["/a", "/b"] # x'),
        ('["%s", "/a", "%s"]' % (PATH, PATH), '["/a"]'),
        ('["conf.d/direct-lvm.toml", "/b"]', '["/b"]'),
        ('["/etc/containerd/conf.d/*.toml"]', '["/etc/containerd/conf.d/*.toml"]'),
        ('["%s.d/x"]' % PATH, '["%s.d/x"]' % PATH),
    ],
    ids=["quotes", "comma", "blanks", "first", "middle", "twice", "relative", "pattern-stays", "longer-name-stays"],
)
def test_an_import_that_somebody_wrote_goes_with_the_file(array, left):
    """containerd does not start when config.toml imports a file that is not there; a pattern may match nothing."""
    assert without_import("imports = %s\n[x]\n" % array, PATH) == "imports = %s\n[x]\n" % left


@pytest.mark.parametrize(
    "array",
    ['[\n  "/a",\n]', '["/a"', '"/a"', '["/a" "/b"]', '["/a",,]', "[,]", "[1]", '["\\u0041"]', '["/a", ["/b"]]', '["/a"] x'],
)
def test_an_array_that_is_not_on_one_line_is_refused(array):
    text = "imports = %s\n" % array
    with pytest.raises(ValueError, match="not an array on one line"):
        with_import(text, PATH)
    assert without_import(text, PATH) == text


def test_an_import_that_cannot_be_taken_out_is_refused():
    with pytest.raises(ValueError, match="not an array on one line"):
        without_import('imports = [\n  "%s"\n]\n' % PATH, PATH)


def test_imports_start_at_the_folder_of_the_file_that_has_them():
    text = 'imports = ["direct-lvm.toml"]\n'
    assert with_import(text, PATH, "/etc/containerd/conf.d/main.toml") == text
    assert without_import(text, PATH, "/etc/containerd/conf.d/main.toml") == "imports = []\n"
    assert with_import(text, PATH, CONFIG) != text
    assert without_import(text, PATH, CONFIG) == text


def test_the_recorded_config_toml_of_debian():
    text = recorded("containerd", "trixie", "config.toml")
    assert with_import(text, PATH) == text
    assert text.startswith(OURS)
    assert without_import(text, PATH) == text[len(OURS) :]
    assert config.config_version(text) == 2


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("", 1),
        ("root = '/x'\n", 1),
        ("version = 1\n", 1),
        ("# c\n  version=2 # two\n", 2),
        (OURS + "version = 3\r\n[x]\r\n", 3),
        ("#version = 3\n", 1),
        ("[x]\nversion = 3\n", 1),
        ("oldversion = 3\n", 1),
    ],
)
def test_config_version(text, version):
    assert config.config_version(text) == version


WANTED = ContainerdStorage(PATH, "/etc/systemd/system/containerd.service.d/direct-lvm.conf")
POOL = Pool(devices=(), vg="vg", name="pool")


@pytest.mark.parametrize(
    ("version", "table"),
    [
        (1, "[plugins.devmapper]"),
        (2, '[plugins."io.containerd.snapshotter.v1.devmapper"]'),
        (3, '[plugins."io.containerd.snapshotter.v1.devmapper"]'),
    ],
)
def test_our_file_has_the_version_of_config_toml(version, table):
    text = own_files.containerd_config(POOL, WANTED, version)
    assert text.splitlines()[2:4] == ["version = %d" % version, table]
    assert config.pool_names(text) == ["vg-pool"]


def test_a_containerd_that_has_read_the_file_is_known_by_its_environment():
    text = own_files.containerd_config(POOL, WANTED, 2)
    line = own_files.containerd_dropin(POOL, WANTED, config.checksum(text)).splitlines()[-1]
    environment = ("PATH=/bin", line[len("Environment=") :])
    unit = Unit("loaded", "active", False, (), environment=environment)
    assert config.has_read(unit, text)
    assert not config.has_read(unit, text + "\n")
    assert not config.has_read(unit._replace(environment=("PATH=/bin",)), text)
    assert not config.has_read(unit._replace(environment=(environment[1] + "0",)), text)


# --- any file ------------------------------------------------------------------------------------------------------

NAMES = st.one_of(
    st.sampled_from(
        ["", "/a", "/etc/containerd/*.toml", "conf.d/*.toml", "/etc/containerd/conf.d/x.toml", "]", "#", "a,b", "/é[1]"]
    ),
    st.text(alphabet="ab/.*[],# =", max_size=8),
)
STRINGS = st.one_of(NAMES.map('"{}"'.format), NAMES.map("'{}'".format))
GAPS = st.sampled_from(["", " ", "\t", "  "])


@st.composite
def arrays(draw):
    """A TOML array of strings on one line, blanks and trailing comma as people write them."""
    strings = draw(st.lists(STRINGS, max_size=4))
    body = draw(GAPS) + (draw(GAPS) + "," + draw(GAPS)).join(strings)
    return "[" + body + (draw(st.sampled_from(["", ",", " , "])) if strings else "") + draw(GAPS) + "]"


COMMENTS = st.sampled_from(["", "", " # x", '  # ["/a"]', "#]", " # " + LINE])
IMPORTS = st.builds("{}imports{}={}{}{}".format, GAPS, GAPS, GAPS, arrays(), COMMENTS)
TOP = st.sampled_from(
    [
        "",
        "# a comment",
        "#imports = []",
        "version = 2",
        "root = '/var/lib/containerd'",
        'state = "/run/c"',
        "oom_score = 0",
        "  # [x]",
    ]
)
IN_TABLES = st.sampled_from(
    ["", "[plugins]", "  [plugins.'x']", "imports = [1,", '  imports = ["/a"]', "version = 3", "[[a]]", LINE, "x = [", "]"]
)


@st.composite
def texts(draw):
    """A config.toml of plausible lines: top-level keys, perhaps an imports line, then tables."""
    lines = draw(st.lists(TOP, max_size=3, unique=True)) + draw(st.lists(IMPORTS, max_size=1))
    lines += draw(st.lists(TOP.filter(lambda line: line not in lines), max_size=3, unique=True))
    lines += draw(st.one_of(st.just([]), st.lists(IN_TABLES, max_size=4).map(lambda rest: ["[grpc]", *rest])))
    return "".join(line + draw(st.sampled_from(["\n", "\n", "\r\n"])) for line in lines)


def rest_of(text):
    """The text without its first top-level imports line."""
    found = config.IMPORTS.search(config.head(text))
    return text[: found.start()] + text[found.end() + 1 :] if found else text


@given(texts())
def test_any_file_keeps_every_other_byte(text):
    changed = with_import(text, PATH)
    assert with_import(changed, PATH) == changed
    assert rest_of(changed) == rest_of(text)
    names = [name for _start, _end, name in config.imports(changed)]
    assert config.imported(PATH, names, CONFIG)
    if not any(config.leads_to(name, PATH, CONFIG) for name in names[:-1]):
        assert without_import(changed, PATH) == text


@given(st.one_of(st.text(), st.text(alphabet="imports=[]\"',# /\n\r\t")), st.booleans())
def test_any_text_is_changed_and_changed_back_or_refused(text, imports):
    text = "imports =" + text if imports else text
    try:
        changed = with_import(text, PATH)
    except ValueError:
        return
    assert with_import(changed, PATH) == changed
    assert without_import(changed, PATH) == text


@pytest.mark.skipif(tomllib is None, reason="tomllib came with Python 3.11")
@given(texts())
def test_what_parses_still_parses_and_imports_our_file(text):
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    after = tomllib.loads(with_import(text, PATH))
    added = [] if config.imported(PATH, before.get("imports", []), CONFIG) else [PATH]
    assert after.pop("imports") == before.pop("imports", []) + added
    assert after == before


@pytest.mark.skipif(tomllib is None, reason="tomllib came with Python 3.11")
@pytest.mark.parametrize("text", [row[2] for row in CHANGED], ids=ids(CHANGED))
def test_every_row_of_the_table_is_toml_that_imports_our_file(text):
    assert PATH in tomllib.loads(text)["imports"]
