"""What a record says of the source: the commit of the checkout that the code was run from."""

import shutil
import subprocess
from pathlib import Path

import pytest

from convbench.records import environment


@pytest.fixture
def checkout(tmp_path):
    """A repository that holds this module at its place in the package; git."""
    folder = tmp_path / Path(environment.__file__).relative_to(Path(environment.__file__).parents[2]).parent
    folder.mkdir(parents=True)
    shutil.copy(environment.__file__, folder)

    def git(*words):
        names = "-c", "user.name=nobody", "-c", "user.email=nobody@example.org"
        done = subprocess.run(["git", "-C", tmp_path, *names, *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "--quiet")
    return folder, git


def test_the_commit_is_that_of_the_checkout(checkout):
    folder, git = checkout
    git("add", ".")
    git("commit", "--quiet", "-m", "all")
    head = git("rev-parse", "HEAD")
    assert len(head) == 40
    assert environment._commit(folder) == head
    file = folder / Path(environment.__file__).name
    file.write_text(file.read_text() + "# changed\n")
    assert environment._commit(folder) == f"{head}+changes"


def test_a_package_inside_the_checkout_of_something_else_has_no_commit(checkout):
    folder, git = checkout
    (folder.parent / "other").write_text("theirs")
    git("add", str(folder.parent / "other"))
    git("commit", "--quiet", "-m", "theirs")
    assert environment._commit(folder) is None


def test_no_checkout_is_no_commit(tmp_path):
    assert environment._commit(tmp_path) is None
