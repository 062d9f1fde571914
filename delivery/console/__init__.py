"""What the commands print: progress, tables."""
