"""Messages about kubeconfigs: addresses that are no URLs, and the secrets that a message must not show."""

from __future__ import annotations

import pytest

from clients import kubeconfig
from clients.kubernetes import KubernetesClient
from common.errors import UserError


def config(user=None, **cluster):
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://c", **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
    }


@pytest.mark.parametrize("cluster", [{"server": "http://c:port"}, {"proxy-url": "http://p:port"}])
def test_an_address_that_is_not_a_url_is_one_clear_message(cluster):
    with pytest.raises(UserError, match="is not a URL"):
        KubernetesClient.from_kubeconfig(config(**cluster))


def test_the_password_of_a_proxy_is_not_shown():
    with pytest.raises(UserError, match=r"found: p\.example:1080") as refused:
        kubeconfig.connect(config(**{"proxy-url": "socks5://user:hidden@p.example:1080"}))
    assert "hidden" not in str(refused.value)


def test_the_arguments_of_an_exec_plugin_are_not_shown():
    plugin = {"command": "false", "args": ["get-token", "--client-secret", "hidden"]}
    with pytest.raises(UserError, match="exec plugin of the kubeconfig fails") as refused:
        kubeconfig.connect(config({"exec": plugin}))
    assert refused.value.where == "false"
    assert "hidden" not in str(refused.value)
