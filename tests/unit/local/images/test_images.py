"""The image builder without a build: contexts, ignore files, digests, Dockerfile arguments, and failing commands."""

import os
import subprocess
import threading
import time
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from common import paths
from common.build_context import Context, Ignore
from common.errors import UserError
from local.images import builder, confined


@pytest.mark.parametrize(
    ("rules", "path", "excluded"),
    [
        ("", "a", False),
        ("*", "a/b", True),
        ("a", "a/b/c", True),
        ("a/", "a/b", True),
        ("/a", "a", True),
        ("a", "b/a", False),
        ("**/a", "b/c/a", True),
        ("**/a", "a", True),
        ("**/*.pyc", "x/y.pyc", True),
        ("*.pyc", "x/y.pyc", False),
        ("a*", "abc/d", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab]", "b", True),
        ("a.b", "axb", False),
        ("# comment\n\n  a  ", "a", True),
        ("*\n!a", "a", False),
        ("*\n!a", "a/b/c", False),
        ("*\n!a/b", "a/c", True),
        ("*\n!a/b", "a/b/c", False),
        ("*\n!a\na/secret", "a/secret", True),
        ("*\n!a\na/secret", "a/open", False),
        ("*\n!a\n**/__pycache__", "a/__pycache__/x", True),
        ("!a\n*", "a", True),
    ],
)
def test_the_last_rule_that_matches_a_path_or_a_folder_above_it_decides(rules, path, excluded):
    assert Ignore(rules).excludes(path) is excluded


@pytest.fixture
def tree(tmp_path):
    for name in ("app/main.py", "app/__pycache__/main.pyc", "deep/er/kept.txt", "deep/er/left.txt", "secret"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (tmp_path / "Dockerfile.dockerignore").write_text("*\n!app\n!deep/er/kept.txt\n**/__pycache__\n")
    return tmp_path


def test_an_allow_list_includes_the_paths_it_names_at_any_depth(tree):
    assert Context(tree, tree / "Dockerfile").entries() == ["app", "app/main.py", "deep/er/kept.txt"]


def test_the_ignore_file_beside_the_dockerfile_takes_precedence_over_the_contexts(tree):
    (tree / ".dockerignore").write_text("app\n")
    assert "app/main.py" in Context(tree, tree / "Dockerfile").entries()


def test_excluded_folders_without_included_files_are_not_read(tree):
    closed = tree / "closed"
    closed.mkdir()
    read = []
    scandir = os.scandir

    def recording_scandir(path):
        read.append(os.fspath(path))
        return scandir(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", recording_scandir)
        Context(tree, tree / "Dockerfile").entries()
    assert str(closed) not in read, "reading a virtual environment in the checkout would take seconds"
    assert str(tree / "deep/er") in read


def test_the_copy_of_a_context_has_exactly_the_files_that_the_digest_describes(tree, tmp_path):
    context = Context(tree, tree / "Dockerfile")
    context.copy_to(tmp_path / "copy")
    copied = sorted(str(file.relative_to(tmp_path / "copy")) for file in (tmp_path / "copy").rglob("*") if file.is_file())
    assert copied == ["app/main.py", "deep/er/kept.txt"]


def digest(tree, *settings):
    return Context(tree, tree / "Dockerfile").digest(*settings)


@pytest.mark.parametrize("change", ["content", "new file", "renamed", "executable", "dockerfile", "link", "argument"])
def test_a_change_of_an_input_of_the_build_changes_the_digest(tree, change):
    (tree / "app/link").symlink_to("main.py")
    before = digest(tree)
    settings = ()
    match change:
        case "content":
            (tree / "app/main.py").write_text("changed")
        case "new file":
            (tree / "app/new.py").touch()
        case "renamed":
            (tree / "app/main.py").rename(tree / "app/other.py")
        case "executable":
            (tree / "app/main.py").chmod(0o755)
        case "dockerfile":
            (tree / "Dockerfile").write_text("FROM scratch\n")
        case "link":
            (tree / "app/link").unlink()
            (tree / "app/link").symlink_to("other.py")
        case _:
            settings = ("BASE=debian",)
    assert digest(tree, *settings) != before


@pytest.mark.parametrize("change", ["ignored file", "time", "group's permission"])
def test_a_change_that_the_build_cannot_read_does_not_change_the_digest(tree, change):
    before = digest(tree)
    match change:
        case "ignored file":
            (tree / "secret").write_text("changed")
        case "time":
            os.utime(tree / "app/main.py", (0, 0))
        case _:
            (tree / "app/main.py").chmod(0o664)
    assert digest(tree) == before


def test_a_missing_context_or_dockerfile_is_refused_with_its_key(tmp_path):
    with pytest.raises(UserError, match=r"build\.context"):
        Context(tmp_path / "none", tmp_path / "Dockerfile").check()
    with pytest.raises(UserError, match=r"build\.dockerfile"):
        Context(tmp_path, tmp_path / "Dockerfile").check()


def test_plain_http_is_used_only_for_container_registries_on_this_machine():
    text = builder._registries(("localhost:5000/a:1", "127.0.0.1:6000/base", "registry.example.com/b:2", "3.11"))
    assert 'location = "localhost:5000"' in text
    assert 'location = "127.0.0.1:6000"' in text
    assert "example.com" not in text


def test_another_value_of_an_argument_changes_the_dockerfile():
    text = "ARG BASE=x\nFROM ${BASE}\nARG NAME\narg OTHER=b\nLABEL name=${NAME}\n"
    first, second = (builder.with_arguments(text, {"BASE": "y", "NAME": value}) for value in ("a", "b"))
    assert first != second, "otherwise buildah would reuse the label of the first build for the second"
    assert first.count("LABEL modelstack.argument") == 1, (
        "buildah itself compares the image of FROM, and OTHER has no value here"
    )
    assert builder.with_arguments(text, {}) == text


class RecordingStep:
    def __init__(self):
        self.calls = []

    def step(self, _name):
        return nullcontext(self)

    def advance(self, done, total=None):
        self.calls.append((done, total))

    def note(self, text):
        self.calls.append(text)


def test_the_progress_bar_follows_the_steps_of_the_dockerfile():
    step = RecordingStep()
    on_line = builder._Steps(step)
    for line in ("STEP 2/7: RUN make\n", "hello\n", "[2/3] STEP 1/4: COPY a b\n"):
        on_line(line)
    assert step.calls == [(1, 7), "RUN make", (0, 4), "COPY a b"]


def command(script, tmp_path):
    return confined.Command(["sh", "-c", script], "thing", tmp_path / "log")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")


@needs_root
def test_the_error_of_a_failed_command_names_the_step_and_the_log_and_shows_the_end_of_the_output(tmp_path):
    script = "echo 'STEP 3/9: RUN make'; for i in $(seq 60); do echo line $i; done; exit 7"
    with pytest.raises(UserError) as caught:
        command(script, tmp_path).run(lambda _line: None, None)
    text = str(caught.value)
    assert "STEP 3/9: RUN make" in text
    assert "status 7" in text
    assert "line 60" in text
    assert "line 9\n" not in text
    assert str(tmp_path / "log") in text


@needs_root
def test_a_full_disk_is_reported_as_the_cause(tmp_path):
    with pytest.raises(UserError, match="disk is full"):
        command("echo 'write /x: no space left on device' >&2; exit 1", tmp_path).run(lambda _line: None, None)


@needs_root
def test_a_failure_with_hardly_any_free_space_is_reported_as_a_full_disk_whatever_the_output_says(tmp_path, monkeypatch):
    free = {"bytes": 100 * 1024**2}
    monkeypatch.setattr(confined.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=free["bytes"]))
    failing = command("echo 'GPG error: At least one invalid signature was encountered.' >&2; exit 100", tmp_path)
    with pytest.raises(UserError, match=r"(?s)disk is full.*100 MiB free"):
        failing.run(lambda _line: None, None)
    free["bytes"] = 1024**3
    with pytest.raises(UserError, match="invalid signature"):
        failing.run(lambda _line: None, None)


@needs_root
def test_a_cancelled_command_leaves_no_process(tmp_path):
    cancelled = threading.Event()
    threading.Timer(0.5, cancelled.set).start()
    marker = f"98765.{os.getpid()}"
    started = time.monotonic()
    with pytest.raises(confined.Cancelled):
        command(f"setsid sleep {marker} & sleep {marker}", tmp_path).run(lambda _line: None, cancelled)
    assert time.monotonic() - started < 10
    assert marker not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout, (
        "a process that has left the process group ends with the process namespace, too"
    )


def test_the_list_of_approvers_is_not_part_of_the_training_image(tmp_path):
    folder = tmp_path / "workloads" / "markdown"
    folder.mkdir(parents=True)
    for name in ("workload.py", "approvers.json"):
        (folder / name).touch()
    entries = Context(tmp_path, paths.CHECKOUT / "components/images/training/Dockerfile").entries()
    assert "workloads/markdown/workload.py" in entries
    assert "workloads/markdown/approvers.json" not in entries, "a new approver must not cause a new build of the largest image"
