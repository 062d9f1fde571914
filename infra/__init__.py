"""One environment: its settings, the rules for its releases, its foundation, its platform and its outputs."""
