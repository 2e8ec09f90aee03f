"""A Docker daemon as its client shows it, for tests that stand in for commands.run."""

import json
import shutil

from archives import SAVED, TINY

from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.model.errors import CommandFailed

HOST = "unix:///run/d.sock"


class FakeDocker:
    """Stands in for commands.run: the daemon's images and tags, and Docker 20.10's words.

    store: {ID: set of tags}.  layers: {ID: RootFS.Layers}.  archives written by save are copies of `whole`.
    """

    def __init__(self, monkeypatch, store=(), whole=SAVED):
        self.store = {image.id: set(image.tags) for image in store}
        self.created, self.layers, self.asked, self.whole = {}, {}, [], whole
        self.loads, self.drops, self.save_error, self.container, self.vanish = TINY, (), None, None, None
        monkeypatch.setattr(commands, "run", self.run)

    def run(self, argv, timeout=None, ok=(0,)):
        assert argv[:3] == ["docker", "--host", HOST]
        self.asked.append(argv[3:])
        rc, out, err = getattr(self, "do_" + argv[3])(*argv[4:])
        if ok is not None and rc not in ok:
            raise CommandFailed(argv, "failed with return code %d" % rc, err or out)
        return commands.Result(tuple(argv), rc, out, err)

    def find(self, name):
        return next((each for each, tags in self.store.items() if name == each or name in tags), None)

    def do_images(self, *_words):
        return 0, "".join(number + "\n" for number in self.store), ""

    def do_inspect(self, _type, kind, name, *more):
        self.store.pop(self.vanish, None)
        if more:
            answers = [self.do_inspect("--type", kind, each) for each in (name, *more)]
            found = [one for _rc, out, _err in answers for one in json.loads(out)]
            return max(rc for rc, _out, _err in answers), json.dumps(found), "".join(err for _rc, _out, err in answers)
        if kind == "container":
            return (0, json.dumps([self.container]), "") if self.container else (1, "[]\n", "Error: No such container: " + name)
        found = self.find(name)
        if found is None:
            return 1, "[]\n", "Error: No such image: " + name
        fields = {"Id": found, "RepoTags": sorted(self.store[found]), "Size": 7, "Created": self.created.get(found, "")}
        return 0, json.dumps([dict(fields, RootFS={"Layers": list(self.layers.get(found, ()))})]), ""

    def do_save(self, _output, path, *_names):
        if self.save_error:
            return 1, "", self.save_error
        shutil.copy(self.whole, path)
        return 0, "", ""

    def do_load(self, _input, _path):
        said = ""
        for number, tags in self.store.items():
            for tag in sorted(tags & set(self.loads.tags) if number != self.loads.id else ()):
                said += "The image %s already exists, renaming the old one with ID %s to empty string\n" % (tag, number)
            tags -= set(self.loads.tags)
        self.store[self.loads.id] = set(self.loads.tags) - set(self.drops)
        said += "".join("Loaded image: %s\n" % tag for tag in self.loads.tags) or "Loaded image ID: %s\n" % self.loads.id
        return 0, said, ""

    def do_tag(self, there, tag):
        for tags in self.store.values():
            tags.discard(tag)
        self.store[there].add(tag)
        return 0, "", ""

    def do_commit(self, _container, tag):
        self.store["sha256:" + "c" * 64] = {tag}
        self.created["sha256:" + "c" * 64] = "2026-11-25T03:00:00.1Z"
        return 0, "", ""

    def verbs(self):
        return [words[0] for words in self.asked if words[0] != "inspect"]
