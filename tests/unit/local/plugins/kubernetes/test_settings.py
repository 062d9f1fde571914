"""The provider's configuration: which cluster, as whom, and what a change of it means."""

from __future__ import annotations

import pytest
import yaml

from clients import kubeconfig as access
from common.errors import UserError
from local.plugins.kubernetes import settings
from local.plugins.protocol.values import UNKNOWN

KUBECONFIG = {
    "contexts": [{"name": "a", "context": {"cluster": "one", "user": "u", "namespace": "team"}}],
    "clusters": [{"name": "one", "cluster": {"server": "http://one"}}, {"name": "two", "cluster": {"server": "http://two"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "current-context": "a",
}


def test_a_kubeconfig_gives_server_namespace_and_credentials(tmp_path):
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(KUBECONFIG))
    for given_as in (KUBECONFIG, yaml.safe_dump(KUBECONFIG), str(file)):
        found_access = access.connect(access.load(given_as))
        assert (found_access.server, found_access.namespace) == ("http://one", "team")
        assert found_access.headers == {"Authorization": "Bearer t"}
    assert "Bearer" not in repr(found_access), "a token is not what a traceback shows"


@pytest.mark.parametrize(
    ("kubeconfig", "says"),
    [
        ("/nowhere/config", "does not exist"),
        ("a: [", "does not exist"),
        ("a: [\n", "not YAML"),
        ("- a\n- b\n", "not a mapping"),
        ({**KUBECONFIG, "current-context": "gone"}, "no context of this name"),
        ({**KUBECONFIG, "clusters": []}, "no cluster of this name"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_why(kubeconfig, says):
    with pytest.raises(UserError, match=says):
        access.connect(access.load(kubeconfig))


def changed(old, new):
    return {path: kind.name for path, kind in settings.difference(old, new).paths.items()}


def test_another_cluster_replaces_the_provider_and_other_credentials_do_not():
    one = yaml.safe_dump(KUBECONFIG)
    other_user = yaml.safe_dump({**KUBECONFIG, "users": [{"name": "u", "user": {"token": "new"}}]})
    moved = [{"name": "one", "cluster": {"server": "http://elsewhere"}}]
    assert changed({"kubeconfig": one}, {"kubeconfig": other_user}) == {"kubeconfig": "UPDATE"}
    assert changed({"kubeconfig": one}, {"kubeconfig": yaml.safe_dump({**KUBECONFIG, "clusters": moved})}) == {
        "kubeconfig": "UPDATE_REPLACE"
    }
    assert changed({"kubeconfig": one}, {"kubeconfig": UNKNOWN}) == {"kubeconfig": "UPDATE_REPLACE"}


def test_a_cluster_identifier_decides_alone():
    old = {"kubeconfig": yaml.safe_dump(KUBECONFIG), "clusterIdentifier": "x"}
    assert changed(old, {"kubeconfig": UNKNOWN, "clusterIdentifier": "x"}) == {"kubeconfig": "UPDATE"}
    assert changed(old, {**old, "clusterIdentifier": "y"}) == {"clusterIdentifier": "UPDATE_REPLACE"}


def test_flags_are_understood_as_text_and_from_the_environment(monkeypatch):
    assert settings.Settings.from_inputs({"enableServerSideApply": "false"}).server_side is False
    assert settings.Settings.from_inputs({"enableConfigMapMutable": True}).mutable.config_maps
    monkeypatch.setenv("PULUMI_K8S_DELETE_UNREACHABLE", "true")
    assert settings.Settings.from_inputs({}).delete_unreachable
    assert settings.Settings.from_inputs({}).server_side, "the default is server-side apply"


def test_a_kubeconfig_is_not_what_a_log_of_the_settings_shows():
    assert "token" not in repr(settings.Settings.from_inputs({"kubeconfig": "token"}))
