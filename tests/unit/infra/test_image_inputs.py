"""The revision and the digest that an image carries: those of the files that it is built from."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from common.build_context import Context
from common.paths import CHECKOUT
from infra import image_inputs

if TYPE_CHECKING:
    from pathlib import Path

DOCKERFILE = "images/training/Dockerfile"
IGNORE = "*\n!uv.lock\n!code\ncode/serving\n**/__pycache__\ncode/*/approvers.json\n"
FILES = {
    DOCKERFILE: "FROM scratch\nCOPY code /code\n",
    f"{DOCKERFILE}.dockerignore": IGNORE,
    "uv.lock": "1",
    "code/run.py": "1",
    "code/tuna/train.py": "PENALTY = 10.0",
    "code/tuna/approvers.json": "[]",
    "code/serving/worker.py": "1",
    "README.md": "1",
}


class Repository:
    """A checkout with one commit, in a folder of a Git repository."""

    def __init__(self, root: Path, folder: str = "") -> None:
        self.root, self.folder = root, root / folder
        root.mkdir()
        self.git("init", "--quiet")
        self.first = self.commit(**FILES)

    def git(self, *words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *identity, *words], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)

    def commit(self, **files: str) -> str:
        self.write(**files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a change")
        return self.git("rev-parse", "HEAD")

    @property
    def revision(self) -> str:
        return image_inputs.read(DOCKERFILE, self.folder).revision

    @property
    def digest(self) -> str:
        return image_inputs.read(DOCKERFILE, self.folder).digest


@pytest.fixture(params=["", "platform"], ids=["root", "folder"])
def repository(tmp_path: Path, request: pytest.FixtureRequest) -> Repository:
    return Repository(tmp_path / "repository", request.param)


@pytest.mark.parametrize("name", ["code/tuna/train.py", "uv.lock", DOCKERFILE, "code/new/deep/step.py"])
def test_the_revision_is_the_commit_that_changed_a_file_of_the_image(repository: Repository, name: str):
    before = repository.digest
    changed = repository.commit(**{name: "2"})
    repository.commit(**{"README.md": "2"})
    assert repository.revision == changed
    assert repository.digest != before


@pytest.mark.parametrize("name", ["README.md", "code/serving/worker.py", "code/tuna/approvers.json", "code/serving/new.py"])
def test_a_commit_that_changes_no_file_of_the_image_changes_nothing(repository: Repository, name: str):
    before = image_inputs.read(DOCKERFILE, repository.folder)
    assert before.revision == repository.first
    repository.commit(**{name: "2"})
    assert image_inputs.read(DOCKERFILE, repository.folder) == before, "otherwise each commit builds another image"


def test_a_commit_that_only_deletes_a_file_of_the_image_counts(repository: Repository):
    (repository.folder / "code/tuna/train.py").unlink()
    assert repository.revision == f"{repository.first}-dirty", "not committed yet"
    assert repository.revision.removesuffix("-dirty") != repository.commit()
    assert repository.revision == repository.git("rev-parse", "HEAD")


def test_a_changed_file_of_the_image_is_marked(repository: Repository):
    repository.write(**{"code/tuna/train.py": "PENALTY = 5000.0"})
    assert repository.revision == f"{repository.first}-dirty"
    repository.git("add", "--all")
    assert repository.revision == f"{repository.first}-dirty", "staged, not committed"


def test_a_file_in_the_image_that_git_does_not_know_or_ignores_is_marked(repository: Repository):
    repository.commit(**{".gitignore": "*.swp\n"})
    repository.write(**{"code/serving/.worker.py.swp": "1", "notes.txt": "1", "code/__pycache__/run.pyc": "1"})
    assert repository.revision == repository.first, "these files are not in the image"
    repository.write(**{"code/tuna/.train.py.swp": "1"})
    assert repository.revision == f"{repository.first}-dirty"


def test_an_older_checkout_has_the_older_revision(repository: Repository):
    repository.commit(**{"uv.lock": "2"})
    repository.git("checkout", "--quiet", "HEAD~1")
    assert repository.revision == repository.first


def test_a_merge_does_not_change_the_revision(repository: Repository):
    repository.git("checkout", "--quiet", "-b", "work")
    work = repository.commit(**{"code/run.py": "2"})
    repository.git("checkout", "--quiet", "-")
    repository.commit(**{"README.md": "2"})
    repository.git("merge", "--quiet", "--no-ff", "--message", "merge", "work")
    assert repository.revision == work, "the image that was built for the pull request is the image after it"


def test_the_digest_is_the_same_in_another_clone(repository: Repository, tmp_path: Path):
    repository.git("clone", "--quiet", str(repository.root), str(tmp_path / "clone"))
    clone = tmp_path / "clone" / repository.folder.relative_to(repository.root)
    assert image_inputs.read(DOCKERFILE, clone) == image_inputs.read(DOCKERFILE, repository.folder)


def test_a_checkout_without_history_has_no_revision_but_a_digest(repository: Repository):
    shutil.rmtree(repository.root / ".git")
    found = image_inputs.read(DOCKERFILE, repository.folder)
    assert found.revision == image_inputs.UNKNOWN_REVISION
    assert found.digest == Context(repository.folder, repository.folder / DOCKERFILE).digest()


def test_the_training_image_stores_both_values_where_runs_read_them():
    text = (CHECKOUT / "components/images/training/Dockerfile").read_text()
    final = text[text.rindex("\nFROM ") :]
    assert "ARG REVISION=unknown\nARG INPUTS=unknown\n" in final
    assert "MODELSTACK_CODE_REVISION=${REVISION}" in final
    assert "MODELSTACK_CODE_DIGEST=${INPUTS}" in final
    context = (CHECKOUT / "workloads/context.py").read_text()
    assert '"MODELSTACK_CODE_REVISION"' in context
    assert '"MODELSTACK_CODE_DIGEST"' in context
