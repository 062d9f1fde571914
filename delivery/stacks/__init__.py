"""Pulumi stacks: the engine, the state and its backend, the stack files."""
