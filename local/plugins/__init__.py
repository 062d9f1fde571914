"""Stand-ins for Pulumi plugins: they speak the engine's protocol and are used if the official ones cannot be downloaded."""
