"""A host in a folder that answers commands, for the tests that ask Docker or containerd."""


class AnsweringHost:
    """Files below root; answers to commands, as (return code, output, errors), by a word that tells them apart.

    What a test adds is run(), which stands in for commands.run.
    """

    def __init__(self, root):
        self.root, self.asked, self.active, self.answers = root, [], "active", {}

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def answer(self, word, out, rc=0, err=""):
        self.answers[word] = (rc, out, err)
