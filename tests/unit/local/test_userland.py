"""The userland: the command lines that run in it, and the errors if it cannot be created."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from common import paths
from common.errors import UserError
from local import userland


class Silent:
    """Progress that shows nothing."""

    @contextmanager
    def step(self, _name):
        yield self

    def advance(self, done, total=None):
        pass

    def note(self, text):
        pass


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "cache_home", lambda: tmp_path)
    return tmp_path


def test_a_command_is_run_in_a_private_mount_namespace():
    argv = userland.argv(Path("/cache/rootfs"), ["buildah", "images"])
    assert argv[:4] == ["unshare", "--mount", "--propagation", "private"], "mounts must never reach the machine"
    assert argv[-2:] == ["buildah", "images"]


def test_binds_are_mounted_in_pairs_before_the_command():
    argv = userland.argv(Path("/cache/rootfs"), ["true"], [(Path("/data"), "/inside")])
    mounts = argv[argv.index("/cache/rootfs") + 1 : argv.index("--", argv.index("/cache/rootfs"))]
    assert len(mounts) % 2 == 0, "each source has a target"
    assert mounts[-2:] == ["/data", "/inside"]
    assert "/etc/resolv.conf" in mounts, "the userland uses the resolver of the machine"


def test_without_debootstrap_the_error_names_the_packages_to_install(cache, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(UserError, match="apt-get install debootstrap"):
        userland.ensure(Silent())
    assert list(cache.glob("userland-*/")) == [], "an incomplete userland must not look like a complete one"


def test_a_failure_shows_the_status_and_the_end_of_the_output():
    with pytest.raises(UserError) as failed:
        userland._run(["sh", "-c", "seq 100; echo no space left >&2; exit 7"])
    text = str(failed.value)
    assert "status 7" in text
    assert "no space left" in text, "the reason is at the end of the output"
    assert "\n    1\n" not in text, "the beginning of a long output is not shown"


def test_an_incomplete_userland_of_a_killed_run_is_removed_and_not_used(cache, monkeypatch):
    entry = paths.cache_entry("userland", "2", userland.SUITE, " ".join(userland.BASE_PACKAGES), " ".join(userland.PACKAGES))
    abandoned = cache / f"{entry.name}.part-abc"
    (abandoned / "rootfs").mkdir(parents=True)
    created = []
    monkeypatch.setattr(userland, "_make", lambda target, _progress: created.append(target))
    userland.ensure(Silent())
    assert created == [entry], "an incomplete userland must not be used"
    assert not abandoned.exists(), "the remains of killed runs would fill the disk"


def test_downloads_are_the_first_half_of_the_bar_and_unpacking_the_second():
    advances = []
    on_line = userland._apt_line(lambda done, total: advances.append((done, total)))
    on_line("dlstatus:1:50.0:Retrieving file 1 of 2\n")
    on_line("Setting up runc ...\n")
    on_line("pmstatus:runc:100.0:Installed\n")
    assert advances == [(25.0, 100), (100.0, 100)]


def test_variables_that_influence_package_installation_are_removed_and_proxies_are_retained(monkeypatch):
    monkeypatch.setenv("DEBIAN_FRONTEND", "dialog")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    environment = userland._environment()
    assert "DEBIAN_FRONTEND" not in environment
    assert environment["https_proxy"] == "http://proxy.example:3128", "without it, the archive cannot be reached"
