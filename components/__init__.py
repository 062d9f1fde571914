"""Pulumi component resources. They take typed args and never read configuration."""
