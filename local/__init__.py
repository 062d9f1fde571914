"""An environment on one machine from package registries alone: toolchain, plugins, node, images."""
