"""What every other package may use and that uses none of them: errors, shared names and constants, places, the clock."""
