"""Odd answers for the tests: a recorded one in which one node, or one piece of the text, is something else."""

import copy
import json

from hypothesis import strategies as st

from module_utils.direct_lvm.apply import metrics, report
from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.model.errors import CommandFailed, Refused
from module_utils.direct_lvm.plan import health, plan

DOCUMENTED = (Refused, CommandFailed, OSError)  # what every module turns into a failure with its sentence
GONE = object()  # the key is not there
TEXTS = ["", "x", "0", "-1", "1.5", "nan", "inf", "1e999", "9" * 400, "\0", "\ud800", "/", "..", "\u00b2", "a\nb"]
NUMBERS = [0, -1, 1, 1.5, 2**63, 10**400, float("nan"), float("inf"), True, False]
ODD = [None, GONE, [], {}, [None], [[]], {"a": 1}, *NUMBERS, *TEXTS]


def nodes(value, path=()):
    """The path of each node of a JSON value."""
    yield path
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from nodes(value[key], path + (key,))


def put(value, path, odd):
    """The value with another node at a path."""
    if not path:
        return None if odd is GONE else odd
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    if odd is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = odd
    return value


@st.composite
def odd_answers(draw, answers):
    """One of some JSON values with one node changed."""
    value = answers[draw(st.integers(0, len(answers) - 1))]
    paths = list(nodes(value))
    return put(value, paths[draw(st.integers(0, len(paths) - 1))], draw(st.sampled_from(ODD)))


@st.composite
def odd_texts(draw, texts):
    """One of some texts with a piece of it changed, left out, or twice there."""
    text = draw(st.sampled_from(texts))
    start = draw(st.integers(0, len(text)))
    end = min(len(text), start + draw(st.integers(0, 30)))
    return text[:start] + draw(st.one_of(st.sampled_from([*TEXTS, text[start:end] * 2]), st.text(max_size=5))) + text[end:]


def answering(patch, told, rc=0):
    """Have every command answered by a text, or by that of {word: text} whose word is among its arguments."""

    def run(argv, timeout=None, ok=(0,)):
        text = told if isinstance(told, str) else next((told[word] for word in told if word in argv), "")
        if ok is not None and rc not in ok:
            raise CommandFailed(argv, "failed with return code %d" % rc, text)
        text = commands.decoded(text.encode("utf-8", "replace"))
        return commands.Result(tuple(argv), rc, text, "")

    patch.setattr(commands, "run", run)


def survives(*calls):
    """Whether all calls return; False when one fails as documented. Anything else is the bug that is looked for."""
    try:
        for call in calls:
            call()
    except DOCUMENTED:
        return False
    return True


def judge(found, desired):
    """A host's whole way: the plan, its warnings, what is reported (strict JSON), and the figures."""
    pool = desired.pool
    survives(lambda: plan.plan(desired, found))
    health.findings(pool, found)
    json.dumps(report.summary(pool, found), allow_nan=False).encode("utf-8")
    metrics.exposition(pool, metrics.figures(pool, found.lvm))
