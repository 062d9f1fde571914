"""Kubeconfigs of the tests."""

from __future__ import annotations

import yaml


def without(config, section):
    return {**config, section: []}


GOOD = {
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "http://localhost:1"}}],
    "users": [{"name": "u", "user": {}}],
}


def user_of(user):
    return yaml.safe_dump({**GOOD, "users": [{"name": "u", "user": user}]})


def server_of(server, **fields):
    return yaml.safe_dump({**GOOD, "clusters": [{"name": "c", "cluster": {"server": server, **fields}}]})
