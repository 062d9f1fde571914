"""Clients of what is reached over a network: container registry, model registry, cluster, endpoint."""
