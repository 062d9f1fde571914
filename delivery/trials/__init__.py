"""Watches canaries and compares shadows with the stable version: measurements, statistics and verdict."""
