"""Pulumi component resources. They have typed arguments and never read configuration."""
