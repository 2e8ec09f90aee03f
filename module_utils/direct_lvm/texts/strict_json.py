# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""JSON as RFC 8259 has it, and no more than what can be written again: Python reads more, and trips over some of it later. Pure.

Python takes NaN and Infinity, makes an infinite float of 1e999, a text that no file has of half a surrogate pair, and reads
what is nested deeper than json.dumps can write. Go, which writes nearly all that is read here, has none of that.
"""

import json
import math
import re

DEPTH = 100  # arrays and objects within each other; `docker info` has six
DIGITS = 40  # of an integer: 2**64 has 20


def loads(text):
    """The value of a JSON text. Raises ValueError, with a sentence, for anything else."""
    value, end = first(text.strip())
    if text.strip()[end:]:
        raise ValueError("something follows its value")
    return value


def first(text):
    """(the first JSON value of a text, where it ends). What follows is not looked at. Raises ValueError like loads()."""
    try:
        value, end = DECODER.raw_decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if text.count("[") + text.count("{") > DEPTH and is_deeper(value, DEPTH):
        raise ValueError("nested too deeply")
    if re.search(r"\\u[dD][89a-fA-F]", text):
        json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")  # our own records may hold a file's odd bytes
    return value, end


def is_deeper(value, depth):
    """Whether a value has more than that many arrays and objects within each other."""
    level = [value]
    for _step in range(depth + 1):
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list))]
        level = [each for one in inner for each in one]
        if not inner:
            return False
    return True


def not_json(name):
    """Refuse NaN and Infinity."""
    raise ValueError("%s is not a JSON number" % name)


def finite(text):
    """A number with a fraction or an exponent, as long as it is one."""
    number = float(text)
    if math.isinf(number):
        raise ValueError("%s is too large" % text[:DIGITS])
    return number


def integer(text):
    """A whole number of up to DIGITS digits: of more, some Pythons raise an error of their own, others take minutes."""
    if len(text) > DIGITS:
        raise ValueError("a number has %d digits" % len(text))
    return int(text)


DECODER = json.JSONDecoder(parse_constant=not_json, parse_float=finite, parse_int=integer)
