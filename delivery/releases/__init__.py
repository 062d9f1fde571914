"""Releases: how they are made, promoted, approved, rolled back and reported."""
