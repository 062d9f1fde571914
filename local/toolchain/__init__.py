"""The executables that are not on any registry: found, downloaded or built from Go modules."""
