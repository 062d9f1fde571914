"""The Kubernetes cluster inside the node: services, configuration files, keys, and the objects that every cluster needs."""
