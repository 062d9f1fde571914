"""This machine: up, down, doctor, and the checks before them."""
