"""Builds container images without a daemon: buildah runs in the userland and pushes to a container registry."""

from local.images.builder import Builder, Login

__all__ = ["Builder", "Login"]
