"""Images without a daemon: built by buildah in the userland, pushed to a registry, told by their digest."""

from local.images.builder import Builder, Login

__all__ = ["Builder", "Login"]
