"""The unit tests of what runs on managed hosts, on the oldest and the newest Python that it is meant for."""

import nox

nox.options.envdir = "../.nox"


@nox.session(python=["3.6", "3.13"], venv_backend="venv")
def unit(session):
    """Run tests/unit; a Python that this machine lacks is skipped and said so."""
    if session.python == "3.6":  # the pip that it brings does not see which Python a release is for
        session.install("--quiet", "pip==21.3.1")
    session.install("--quiet", "pytest", "hypothesis", "jinja2", "pyyaml")
    session.chdir("..")
    session.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit")
