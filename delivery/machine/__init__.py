"""The commands that set up this machine: up, down, doctor, and the checks before them."""
