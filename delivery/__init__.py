"""Releases on the move, and the `modelstack` command."""
