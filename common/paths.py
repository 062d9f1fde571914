"""Where things lie: an environment's own things in `.modelstack/` of the checkout, what is built once in the user's cache."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
STATE = CHECKOUT / ".modelstack"

BACKEND = STATE / "state"
"""Pulumi's file backend."""
PASSPHRASE = STATE / "passphrase"
"""Encrypts the secrets of stack files and state (mode 0600)."""
PULUMI_HOME = STATE / "pulumi"
"""Plugins and workspaces of the engine."""
BIN = STATE / "bin"
"""Put first on PATH: `pulumi`, the language host, the analyzer."""
NODE = STATE / "node"
"""Data of the embedded node: etcd, containerd, volumes, keys, logs."""
IMAGES = STATE / "images"
"""Storage of the image builder."""
KUBECONFIG = STATE / "kubeconfig"
"""Administrator's access to the embedded cluster."""
LOGS = STATE / "logs"


def cache_home() -> Path:
    """The folder under which built things are kept: `$XDG_CACHE_HOME/modelstack`, else `~/.cache/modelstack`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "modelstack"


def cache_entry(name: str, *sources: Path | str) -> Path:
    """The cache folder of something built from `sources`: another source gives another folder.

    Args:
        name: what is built, for example `pulumi`.
        sources: files whose content counts, or strings that count themselves.
    """
    digest = hashlib.sha256()
    for source in sources:
        content = source.read_bytes() if isinstance(source, Path) else source.encode()
        digest.update(hashlib.sha256(content).digest())
    return cache_home() / f"{name}-{digest.hexdigest()[:16]}"
