"""One environment: settings, types, naming, composition, outputs."""
