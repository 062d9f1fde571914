"""Which plugin answers: the official one where there is one, else the stand-in."""

import os
import subprocess
import time
from contextlib import nullcontext

import pytest

from common import paths
from local.plugins import install
from local.plugins.install import Source
from local.toolchain import download


class Quiet:
    def __init__(self):
        self.steps = []

    def step(self, name):
        self.steps.append(name)
        return nullcontext(self)

    def advance(self, done, total=None):
        pass

    def note(self, text):
        pass


@pytest.fixture
def pulumi(tmp_path, monkeypatch):
    """A machine without any plugin, on which the download site does not answer; returns the engine's executable."""
    monkeypatch.setattr(paths, "PULUMI_HOME", tmp_path / "home")
    monkeypatch.setattr(paths, "BIN", tmp_path / "bin")
    monkeypatch.setattr(paths, "cache_home", lambda: tmp_path / "cache")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(download, "is_available", lambda _url, *, retry=False: False)
    download.record_unreachable()
    executable = tmp_path / "release" / "pulumi"
    executable.parent.mkdir()
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    return executable


def program(path, text="#!/bin/sh\necho official\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def sources(plugins):
    return {plugin.name: plugin.source for plugin in plugins}


NAMES = [*install.RESOURCE_PLUGINS, "python"]


def test_without_any_each_plugin_gets_a_stand_in(pulumi):
    assert sources(install.installed(pulumi)) == dict.fromkeys(NAMES, Source.MISSING)
    assert sources(install.install(Quiet(), pulumi)) == dict.fromkeys(NAMES, Source.STAND_IN)


def test_a_stand_in_lies_where_the_engine_looks_for_the_version_of_the_sdk(pulumi):
    install.install(Quiet(), pulumi)
    script = paths.PULUMI_HOME / "plugins" / "resource-command-v1.2.1" / "pulumi-resource-command"
    assert os.access(script, os.X_OK)
    assert "-P -m local.plugins.command" in script.read_text()


def test_a_second_time_nothing_is_done_and_nothing_is_shown(pulumi):
    install.install(Quiet(), pulumi)
    quiet, started = Quiet(), time.monotonic()
    install.install(quiet, pulumi)
    assert not quiet.steps
    assert time.monotonic() - started < 0.3


def test_an_official_plugin_in_the_engines_folder_is_left_alone(pulumi):
    official = paths.PULUMI_HOME / "plugins" / "resource-random-v4.21.4" / "pulumi-resource-random"
    program(official)
    assert sources(install.install(Quiet(), pulumi))["random"] is Source.OFFICIAL
    assert "official" in official.read_text()


def test_an_official_plugin_on_path_is_left_alone(pulumi, tmp_path, monkeypatch):
    program(tmp_path / "path" / "pulumi-resource-docker")
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    assert sources(install.install(Quiet(), pulumi))["docker"] is Source.OFFICIAL


def test_the_language_host_beside_an_official_engine_is_used(pulumi):
    program(pulumi.parent / "pulumi-language-python")
    assert sources(install.install(Quiet(), pulumi))["python"] is Source.OFFICIAL


def test_a_stand_in_for_another_python_is_written_anew(pulumi):
    install.install(Quiet(), pulumi)
    script = paths.PULUMI_HOME / "plugins" / "resource-random-v4.21.4" / "pulumi-resource-random"
    script.write_text(f"#!/bin/sh\n{install.MARK}\nexec /gone/python -m local.plugins.random\n")
    install.install(Quiet(), pulumi)
    assert "/gone/python" not in script.read_text()


def test_what_can_be_downloaded_is_downloaded_by_the_engine_itself(pulumi, monkeypatch):
    asked = []
    monkeypatch.setattr(download, "is_available", lambda url, *, retry=False: asked.append(url) or not retry)
    script = '#!/bin/sh\nf=$PULUMI_HOME/plugins/$3-$4-v$5; f=${f#}; mkdir -p "$f"; echo official > "$f/pulumi-$3-$4"\n'
    program(pulumi, script)
    found = sources(install.install(Quiet(), pulumi))
    assert found == {**dict.fromkeys(NAMES, Source.OFFICIAL), "python": Source.STAND_IN}
    assert any("pulumi-resource-kubernetes-v" in url for url in asked)


def test_a_download_that_fails_leaves_the_stand_in(pulumi, monkeypatch):
    monkeypatch.setattr(download, "is_available", lambda _url, *, retry=False: not retry)
    program(pulumi, "#!/bin/sh\nexit 1\n")
    assert sources(install.install(Quiet(), pulumi)) == dict.fromkeys(NAMES, Source.STAND_IN)


def test_the_engine_becomes_a_command(pulumi):
    install.install(Quiet(), pulumi)
    assert subprocess.run([paths.BIN / "pulumi"], check=False).returncode == 0
    assert (paths.BIN / "pulumi").resolve() == pulumi, "through a link, so that it finds what lies beside it"
