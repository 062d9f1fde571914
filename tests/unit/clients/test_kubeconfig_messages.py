"""Messages about kubeconfigs that cannot be used, and the secrets that a message must not show."""

from __future__ import annotations

import pytest
import yaml

from clients import kubeconfig
from clients.kubernetes import KubernetesClient
from common.errors import UserError
from tests.unit.clients.kubeconfigs import GOOD, server_of, user_of, without


def config(user=None, **cluster):
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://c", **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
    }


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


@pytest.mark.parametrize(
    ("content", "context", "says"),
    [
        (None, "c", "does not exist"),
        ("a: [\n", "c", "is not YAML"),
        ("just text", "c", "is not a mapping"),
        ("", "c", "is not a mapping"),
        ("expires: 2024-99-99\n", "c", "(?s)is not YAML.*month must be in"),
        (user_of({"exec": {"command": "login", "args": 5}}), "c", "(?s)arguments.*not a list.*found: 5.*right: args"),
        (user_of({"exec": {"command": "lo\0gin"}}), "c", "(?s)cannot be started.*null byte"),
        (user_of({"exec": {"command": "true", "env": [{"name": "A=B", "value": "c"}]}}), "c", "cannot be started"),
        (server_of("http://c:abc"), "c", "(?s)no address of an API server.*found: http://c:abc"),
        (server_of("http://[::1"), "c", "no address of an API server"),
        (server_of(f"http://{'x' * 70}.example"), "c", "no address of an API server"),
        (server_of("http://\u2603.example"), "c", "no address of an API server"),
        (server_of("http://c", **{"tls-server-name": ".c"}), "c", "(?s)not a host name.*found: .c"),
        (server_of("http://c", **{"proxy-url": "http://c:abc"}), "c", "not an HTTP proxy"),
        (yaml.safe_dump(GOOD), "gone", "(?s)no context of this name.*gone.*right: c"),
        (yaml.safe_dump(without(GOOD, "clusters")), "c", "no cluster of this name"),
        (yaml.safe_dump(without(GOOD, "users")), "c", "no user of this name"),
        (yaml.safe_dump({**GOOD, "users": [{"name": "u", "user": {"token": "t\n\u00fc"}}]}), "c", "is not a token"),
        (
            yaml.safe_dump({**GOOD, "clusters": [{"name": "c", "cluster": {"server": "http://c", "proxy-url": "socks5://p"}}]}),
            "c",
            "not an HTTP proxy",
        ),
        (yaml.safe_dump({**GOOD, "clusters": [{"name": "c", "cluster": {}}]}), "c", "no address of an API server"),
        (
            yaml.safe_dump({**GOOD, "users": [{"name": "u", "user": {"auth-provider": {"name": "azure"}}}]}),
            "c",
            "auth-provider",
        ),
        (yaml.safe_dump({**GOOD, "users": [{"name": "u", "user": {"tokenFile": "gone"}}]}), "c", "token file"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_one_clear_message(tmp_path, content, context, says):
    file = tmp_path / "config"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError, match=says):
        KubernetesClient.from_file(str(file), context)
