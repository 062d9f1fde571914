"""What an environment asks of a release, and what is known about the releases that are deployed."""
