"""What a stack file may say: its types, how it is read, and what must agree."""
