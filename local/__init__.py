"""Runs an environment on one machine, with nothing but package registries: toolchain, plugins, node and image builder."""
