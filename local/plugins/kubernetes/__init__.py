"""The Kubernetes provider's plugin: what `pulumi-kubernetes` asks of its engine, on the API server's own rules."""
