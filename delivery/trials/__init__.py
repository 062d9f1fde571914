"""Canaries and shadows: what is measured, and the verdict."""
