"""When objects are ready, and why they are not."""
