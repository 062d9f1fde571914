"""Starts and stops a node, and reads its state."""
