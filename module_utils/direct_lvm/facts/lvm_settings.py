# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""LVM's own settings (lvm.conf(5)), as this host has them. plan/settings_check.py judges those that lvm_pins.py does not pin."""

import glob
import os
import re

from ..host import commands, files
from ..model.errors import CommandFailed
from ..model.host import Settings

FOLDER = "/etc/lvm"
LOCKD = "/run/lvm/lvmlockd.socket"


def ask(vg):
    """Settings of this host: one `lvmconfig`, and one `vgs` for the properties of volume group vg when it is given.

    --config: without any setting, as in an empty lvm.conf, lvmconfig knows no defaults either (tried with 2.03.16).
    Raises CommandFailed.
    """
    answer = commands.run(("lvmconfig", "--type", "full", "--config", "global/units=b"))
    try:
        values = parse(answer.out)
    except (IndexError, ValueError) as error:
        raise CommandFailed(answer.argv, "gave settings that cannot be read (%r)" % error, answer.out[:200]) from error
    if values.get("activation/monitoring") not in ("0", "1"):
        raise CommandFailed(answer.argv, "does not tell whether LVM monitors", answer.out[:200])
    return Settings(values, lines(), not_autoactivated(vg) if vg else (), os.path.exists(LOCKD))


def not_autoactivated(vg):
    """(VG or VG/LV, ...) with the property autoactivation off. LVM before 2.03.12 knows no such field, and none is off there."""
    argv = ("vgs", "--noheadings", "--separator", ",", "-o", "vg_autoactivation,lv_name,lv_autoactivation", vg)
    off = []
    for line in commands.run(argv, ok=None).out.splitlines():
        whole, name, one = (line.strip().split(",") + ["", ""])[:3]
        off += [vg] if whole == "" else []
        off += ["%s/%s" % (vg, name)] if name and one == "" else []
    return tuple(sorted(set(off)))


def parse(text):
    """{"section/name": value} from what lvmconfig prints. Raises IndexError or ValueError on other input."""
    values, path = {}, []
    for line in text.splitlines():
        line = line.strip()
        if line.endswith("{") and "=" not in line:
            path.append(line[:-1].strip())
        elif line == "}":
            path.pop()
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            if not equals:
                raise ValueError("no setting: %r" % line[:80])
            words = [_word(word) for word in re.findall(r'"(?:[^"\\]|\\.)*"|[^\s,\[\]]+', value)]
            values["/".join([*path, name.strip()])] = tuple(words) if value.startswith("[") else words[0]
    if path:
        raise ValueError("it ends within section %s" % path[-1])
    return values


def _word(text):
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def lines():
    """{"section/name": "FILE line N"} of what the files in /etc/lvm set; lvmlocal.conf and host tags' files come after lvm.conf."""
    places = {}
    names = sorted(glob.glob(os.path.join(FOLDER, "lvm*.conf")), key=lambda path: (not path.endswith("/lvm.conf"), path))
    for path in names:
        section = ""
        for number, line in enumerate((files.read_text(path) or "").splitlines(), 1):
            line = line.partition("#")[0].strip()
            opened = re.match(r"([A-Za-z_]+)\s*\{\s*(.*)", line)
            if opened:
                section, line = opened.groups()
            name = re.match(r"([A-Za-z_/]+)\s*=", line)
            if name:
                full = name.group(1) if "/" in name.group(1) else "%s/%s" % (section, name.group(1))
                places[full] = "%s line %d" % (path, number)
    return places
