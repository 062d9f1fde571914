"""Paths. Files of the environments are in `.modelstack/` of the checkout; build results are in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
STATE = CHECKOUT / ".modelstack"

BACKEND = STATE / "state"
"""Pulumi's file backend."""
PASSPHRASE = STATE / "passphrase"
"""The passphrase that encrypts the secrets in stack files and state (mode 0600)."""
PULUMI_HOME = STATE / "pulumi"
"""The engine's plugins and workspaces."""
BIN = STATE / "bin"
"""The first folder on PATH: `pulumi`, the language host and the analyzer."""
NODE = STATE / "node"
"""Data of the embedded node: etcd, containerd, volumes, keys, logs."""
IMAGES = STATE / "images"
"""Storage of the image builder."""
KUBECONFIG = STATE / "kubeconfig"
"""The administrator's kubeconfig of the embedded cluster."""
LOGS = STATE / "logs"
TOUR = STATE / "tour"
"""The approver's key and the lists of approvers of the tour (`modelstack key --tour`)."""


def cache_home() -> Path:
    """Returns the folder of build results: `$XDG_CACHE_HOME/modelstack`, or `~/.cache/modelstack` by default."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "modelstack"


def cache_entry(name: str, *sources: Path | str) -> Path:
    """Returns the cache folder of a build result. Its name contains a hash of all sources: a changed source gives a new folder.

    Args:
        name: name of the build result, for example `pulumi`.
        sources: a `Path` adds the content of the file to the hash, a string adds itself.
    """
    digest = hashlib.sha256()
    for source in sources:
        content = source.read_bytes() if isinstance(source, Path) else source.encode()
        digest.update(hashlib.sha256(content).digest())
    return cache_home() / f"{name}-{digest.hexdigest()[:16]}"
