"""Stand-in for the `kubernetes` provider: serves the resources of `pulumi-kubernetes` by the API server's own rules."""
