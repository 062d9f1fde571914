"""The tiers: where the releases of an environment come from, what it requires of them, and the targets it may deploy to."""
