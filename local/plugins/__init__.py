"""Plugins that speak the engine's protocol, for when the official ones cannot be downloaded."""
