"""The two images every node has in its registry: `base:bookworm`, and `pause:1` that keeps a pod's namespaces.

Both are one layer, the base image of the userland, written straight into the registry. The same tar gives the same digests
on every machine and at every start.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
import shutil
from typing import TYPE_CHECKING, Any, Final

from clients.node_registry import MANIFEST, NodeRegistry

if TYPE_CHECKING:
    from pathlib import Path

    from local.node.config import NodeConfig

_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_EPOCH: Final = "1970-01-01T00:00:00Z"
IMAGES: Final = (("base", "bookworm", ["bash"]), ("pause", "1", ["sleep", "infinity"]))
"""Repository, tag and command."""


def ensure(config: NodeConfig, base: Path) -> None:
    """Puts the images that are missing into the registry.

    Args:
        config: the node.
        base: tar of the base image.

    Raises:
        NodeRegistryError: refused.
        OSError: no answer.
    """
    registry = NodeRegistry(config.registry_port)
    layer, description = _compressed(base)
    for repository, tag, command in IMAGES:
        image, manifest = documents(description, command)
        digest = _digest(manifest)
        if registry.has(repository, "manifests", tag) and registry.has(repository, "manifests", digest):
            continue
        registry.put_blob(repository, description["digest"], layer)
        registry.put_blob(repository, _digest(image), image)
        registry.put_manifest(repository, tag, manifest)


def documents(layer: dict[str, Any], command: list[str]) -> tuple[bytes, bytes]:
    """Configuration and manifest of an image of one layer, as bytes, because their digests count.

    Args:
        layer: `digest` and `size` of the compressed layer, `diff` digest of the tar in it.
        command: what it runs.
    """
    image = {
        "architecture": architecture(),
        "os": "linux",
        "created": _EPOCH,
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": command},
        "rootfs": {"type": "layers", "diff_ids": [layer["diff"]]},
        "history": [{"created": _EPOCH, "created_by": "debootstrap"}],
    }
    content = json.dumps(image, sort_keys=True).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": _digest(content), "size": len(content)},
        "layers": [{"mediaType": _LAYER, "digest": layer["digest"], "size": layer["size"]}],
    }
    return content, json.dumps(manifest, sort_keys=True).encode()


def architecture() -> str:
    """Of this machine, in the words of images."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _compressed(base: Path) -> tuple[Path, dict[str, Any]]:
    """The layer and its description, kept beside the tar once made."""
    layer, description = base.with_suffix(".tar.gz"), base.with_suffix(".json")
    if layer.exists() and description.exists():
        return layer, json.loads(description.read_text())
    path = base.with_suffix(".tar.gz.part")
    # Neither name nor time in the header: the digest is that of the content alone.
    with base.open("rb") as source, path.open("wb") as part, gzip.GzipFile("", "wb", 5, part, mtime=0) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    known = {"digest": _file_digest(path), "size": path.stat().st_size, "diff": _file_digest(base)}
    path.rename(layer)
    text = description.with_suffix(".json.part")
    text.write_text(json.dumps(known))
    text.rename(description)
    return layer, known
