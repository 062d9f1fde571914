"""Clients for services on the network: container registries, model registries, Kubernetes clusters and endpoints."""
