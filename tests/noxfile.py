"""The unit tests of what runs on managed hosts, on the oldest and the newest Python that it is meant for."""

import nox

nox.options.envdir = "../.nox"
# The last releases for Python 3.6, named because not every package index says which Python a release is for.
OLD = ["pytest==7.0.1", "hypothesis==6.31.6", "jinja2==3.0.3", "pyyaml==5.4.1"]


@nox.session(python=["3.6", "3.13"], venv_backend="venv")
def unit(session):
    """Run tests/unit; a Python that this machine lacks is skipped and said so."""
    session.install("--quiet", *(OLD if session.python == "3.6" else ["pytest", "hypothesis", "jinja2", "pyyaml"]))
    session.chdir("..")
    session.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit")
