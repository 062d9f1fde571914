"""Start, stop and state of a node."""
