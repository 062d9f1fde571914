"""The Kubernetes inside the node: services, their files, keys, and the objects every cluster needs."""
