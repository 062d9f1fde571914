"""The two images that every node has in its container registry: `base:bookworm`, and `pause:1`, which holds a pod's namespaces.

Both images have one and the same layer: the base image of the userland. It is uploaded directly to the container registry. The
same tar file results in the same digests on every machine and at every start.
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
"""The repository, tag and command of each image."""


def ensure(config: NodeConfig, base: Path) -> None:
    """Uploads the images that the container registry does not have.

    Args:
        config: the node.
        base: the tar file of the base image.

    Raises:
        NodeRegistryError: the container registry refuses a request.
        OSError: the container registry does not respond.
    """
    registry = NodeRegistry(config.registry_port)
    layer, description = _compressed(base)
    for repository, tag, command in IMAGES:
        image, manifest = config_and_manifest(description, command)
        digest = _digest(manifest)
        if registry.has(repository, "manifests", tag) and registry.has(repository, "manifests", digest):
            continue
        registry.put_blob(repository, description["digest"], layer)
        registry.put_blob(repository, _digest(image), image)
        registry.put_manifest(repository, tag, manifest)


def config_and_manifest(layer: dict[str, Any], command: list[str]) -> tuple[bytes, bytes]:
    """Returns the configuration and the manifest of an image with one layer, as bytes: their digests identify them.

    Args:
        layer: `digest` and `size` (bytes) of the compressed layer, and `diff`, the digest of the uncompressed tar file.
        command: the command that a container of the image runs.
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
    """Returns the architecture of this machine, as image configurations name it (`amd64`, `arm64`)."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _compressed(base: Path) -> tuple[Path, dict[str, Any]]:
    """Returns the compressed layer and its description. Both are stored beside the tar file and reused."""
    layer, description_file = base.with_suffix(".tar.gz"), base.with_suffix(".json")
    if layer.exists() and description_file.exists():
        return layer, json.loads(description_file.read_text())
    layer_part = base.with_suffix(".tar.gz.part")
    # The gzip header has no file name and no time, so the digest depends on the content alone.
    with base.open("rb") as source, layer_part.open("wb") as file, gzip.GzipFile("", "wb", 5, file, mtime=0) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    description = {"digest": _file_digest(layer_part), "size": layer_part.stat().st_size, "diff": _file_digest(base)}
    layer_part.rename(layer)
    part = description_file.with_suffix(".json.part")
    part.write_text(json.dumps(description))
    part.rename(description_file)
    return layer, description
