"""The toolchain with a fake `go`: when an executable is built, and the errors if a build or a download fails."""

import multiprocessing
import time
from contextlib import contextmanager

import pytest

from common import paths
from common.errors import UserError
from local import toolchain
from local.toolchain import download
from local.toolchain.build import GoBuild

FAKE_GO = """\
#!/bin/sh
echo "$@" >> {calls}
case $1 in
version) {version} ;;
list) echo "go: downloading example.com/x v1.0.0" >&2; printf 'example.com/x\\nexample.com/x/y\\n' ;;
build) {build} ;;
esac
"""
BUILDS = 'while [ "$1" != -o ]; do shift; done; sleep {seconds}; echo example.com/x; echo example.com/x/y; echo built > "$2"'
QUICK = BUILDS.format(seconds=0)


class RecordingProgress:
    """Progress that records all calls."""

    def __init__(self):
        self.steps, self.advances, self.notes = [], [], []

    @contextmanager
    def step(self, name):
        self.steps.append(name)
        yield self

    def advance(self, done, total=None):
        self.advances.append((done, total))

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with its own cache, Go module and `go`. Returns a function that installs the fake `go` and returns a build."""
    monkeypatch.setattr(paths, "cache_home", lambda: tmp_path / "cache")
    monkeypatch.setattr(paths, "LOGS", tmp_path / "logs")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    module = tmp_path / "module"
    (module / "inner").mkdir(parents=True)
    (module / "go.mod").write_text("module example.com/m\n\ngo 1.26\n")
    (module / "go.sum").write_text("")
    (module / "main.go").write_text("package main\n")
    (module / "inner" / "inner.go").write_text("package inner\n")

    def go(build=QUICK, version="echo go version go1.26"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        script = tmp_path / "bin" / "go"
        script.write_text(FAKE_GO.format(calls=tmp_path / "calls", build=build, version=version))
        script.chmod(0o755)
        return GoBuild("thing", module, ".", ldflags="-s")

    return go


def calls(tmp_path, command):
    log = tmp_path / "calls"
    return [line for line in (log.read_text().splitlines() if log.exists() else []) if line.startswith(command)]


def test_an_executable_is_built_only_once(machine, tmp_path):
    build, progress = machine(), RecordingProgress()
    executable = build.make(progress)
    assert executable.read_text() == "built\n"
    assert build.make(progress) == executable
    assert len(calls(tmp_path, "build")) == 1, "the second time it comes from the cache"
    assert progress.steps == ["thing: modules", "thing: build"]


def test_the_progress_bar_counts_the_stale_packages(machine):
    progress = RecordingProgress()
    machine().make(progress)
    assert progress.advances[-1] == (2, 2), "two packages were listed as stale, and both were compiled"


@pytest.mark.parametrize("file", ["go.mod", "go.sum", "main.go", "inner/inner.go", "new.go"])
def test_a_change_of_a_source_file_changes_the_folder_of_the_executable(machine, tmp_path, file):
    build = machine()
    before = build.result
    changed = tmp_path / "module" / file
    changed.write_text((changed.read_text() if changed.exists() else "") + "\n// changed\n")
    assert build.result.parent != before.parent, f"{file} is an input of the build"


def test_the_error_of_a_failed_build_names_the_command_and_the_log_and_shows_the_end_of_the_output(machine, tmp_path):
    build = machine(build="for i in $(seq 40); do echo line $i; done; echo 'undefined: Frobnicate' >&2; exit 2")
    with pytest.raises(UserError) as caught:
        build.make(RecordingProgress())
    text = str(caught.value)
    assert "`go build -v -mod=readonly" in text, "the command that failed is named"
    assert "status 2" in text
    assert "undefined: Frobnicate" in text, "the end of the output is shown"
    assert "line 2\n" not in text, "the beginning is not"
    log = tmp_path / "logs" / "build-thing.log"
    assert str(log) in text, "the file with the complete output is named"
    assert "line 2\n" in log.read_text()


def test_a_failed_build_leaves_nothing_in_the_cache(machine, tmp_path):
    with pytest.raises(UserError):
        machine(build='while [ "$1" != -o ]; do shift; done; echo half > "$2"; exit 1').make(RecordingProgress())
    assert not machine().result.exists()
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()], "the unfinished build is removed, too"


def test_the_remains_of_a_killed_build_are_removed(machine, tmp_path):
    build = machine()
    abandoned = tmp_path / "cache" / f"{build.result.parent.name}.part-old"
    abandoned.mkdir(parents=True)
    build.make(RecordingProgress())
    assert not abandoned.exists()


def _make(build):
    build.make(RecordingProgress())


def test_two_builds_at_the_same_time_build_once(machine, tmp_path):
    build = machine(build=BUILDS.format(seconds=0.5))
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_make, args=(build,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(calls(tmp_path, "build")) == 1, "the second waits for the first and uses its result"


def test_without_go_the_error_says_which_version_to_install(machine, tmp_path, monkeypatch):
    build = machine()
    (tmp_path / "bin" / "go").unlink()
    monkeypatch.setattr("local.toolchain.build._FALLBACKS", ())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(UserError, match=r"not installed(.|\n)*Go 1\.26 or newer"):
        build.make(RecordingProgress())


def test_the_error_for_a_go_that_is_too_old_shows_its_output(machine):
    build = machine(version='echo "go: go.mod requires go >= 1.26 (running go 1.19)" >&2; exit 1')
    with pytest.raises(UserError, match=r"running go 1\.19(.|\n)*GOTOOLCHAIN"):
        build.make(RecordingProgress())


def fake_pulumi(version, folder):
    folder.mkdir(exist_ok=True)
    script = folder / "pulumi"
    script.write_text(f"#!/bin/sh\necho {version}\n")
    script.chmod(0o755)
    return script


@pytest.mark.parametrize(
    ("version", "used"), [("v3.181.0", True), ("v3.300.1", True), ("v4.0.0", True), ("v3.180.9", False), ("?", False)]
)
def test_a_pulumi_on_path_is_used_if_it_is_new_enough(tmp_path, monkeypatch, version, used):
    executable = fake_pulumi(version, tmp_path / "bin")
    monkeypatch.setenv("PATH", str(executable.parent))
    assert (toolchain.on_path() == executable) is used


def test_the_checkouts_own_link_does_not_count_as_a_pulumi_on_path(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "BIN", tmp_path / "bin")
    monkeypatch.setenv("PATH", str(fake_pulumi("v3.259.0", tmp_path / "bin").parent))
    assert toolchain.on_path() is None, "otherwise it would never be updated"


def test_the_official_release_takes_precedence_over_a_build(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "cache_home", lambda: tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(download, "release", lambda version, _progress: tmp_path / f"release-{version}")
    assert toolchain.pulumi(RecordingProgress()) == tmp_path / f"release-{toolchain.PULUMI_VERSION}"


def test_an_unreachable_site_is_not_tried_again_for_a_day(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "cache_home", lambda: tmp_path)
    requests = []

    def unreachable(request, timeout):
        requests.append((request.full_url, timeout))
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    assert not download.is_available("https://get.pulumi.com/x")
    assert not download.is_available("https://get.pulumi.com/y")
    assert len(requests) == 1, "the first failure is recorded"
    assert requests[0][1] <= 5, "the timeout is short"
    download.is_available("https://get.pulumi.com/z", retry=True)
    assert len(requests) == 2, "`retry` ignores the record"
    tomorrow = time.time() + 25 * 3600
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    assert not download.recently_unreachable(), "after a day the record does not count"


def test_a_damaged_record_of_an_unreachable_site_is_ignored(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "cache_home", lambda: tmp_path)
    (tmp_path / "refused.json").write_text("{")
    assert not download.recently_unreachable()


def test_a_release_that_does_not_match_its_checksum_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "cache_home", lambda: tmp_path)
    monkeypatch.setattr(download, "is_available", lambda _url: True)
    monkeypatch.setattr(download, "_checksum", lambda _version, _archive: "0" * 64)
    monkeypatch.setattr(download, "_fetch", lambda _url, target, _advance: target.write_bytes(b"x") and "f" * 64)
    assert download.release("3.259.0", RecordingProgress()) is None
    assert not (tmp_path / "pulumi-release-3.259.0").exists()
