"""The userland: what is run in it, and what is said when it cannot be made."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from common import paths
from common.errors import UserError
from local import userland


class Silent:
    """Progress that nobody watches."""

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
    assert "/etc/resolv.conf" in mounts, "names are resolved as on the machine"


def test_without_debootstrap_the_user_is_told_what_to_install(cache, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(UserError, match="apt-get install debootstrap"):
        userland.ensure(Silent())
    assert list(cache.glob("userland-*/")) == [], "nothing half-made may look like a userland"


def test_a_failure_names_the_command_and_shows_the_end_of_its_output():
    with pytest.raises(UserError) as failed:
        userland._run(["sh", "-c", "seq 100; echo no space left >&2; exit 7"])
    text = str(failed.value)
    assert "status 7" in text
    assert "no space left" in text, "the reason is at the end of the output"
    assert "\n    1\n" not in text, "the beginning of a long log helps nobody"


def test_what_a_dead_run_left_is_removed_and_never_taken_for_whole(cache, monkeypatch):
    entry = paths.cache_entry("userland", "2", userland.SUITE, " ".join(userland.BASE_PACKAGES), " ".join(userland.PACKAGES))
    abandoned = cache / f"{entry.name}.part-abc"
    (abandoned / "rootfs").mkdir(parents=True)
    made = []
    monkeypatch.setattr(userland, "_make", lambda target, _progress: made.append(target))
    userland.ensure(Silent())
    assert made == [entry], "a part is not the whole"
    assert not abandoned.exists(), "leftovers of dead runs would fill the disk"


def test_downloads_are_the_first_half_of_the_bar_and_unpacking_the_second():
    seen = []
    show = userland._apt_line(lambda done, total: seen.append((done, total)))
    show("dlstatus:1:50.0:Retrieving file 1 of 2\n")
    show("Setting up runc ...\n")
    show("pmstatus:runc:100.0:Installed\n")
    assert seen == [(25.0, 100), (100.0, 100)]


def test_what_steers_package_installation_from_outside_is_not_handed_on(monkeypatch):
    monkeypatch.setenv("DEBIAN_FRONTEND", "dialog")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    environment = userland._environment()
    assert "DEBIAN_FRONTEND" not in environment
    assert environment["https_proxy"] == "http://proxy.example:3128", "behind a proxy nothing else reaches the archive"
