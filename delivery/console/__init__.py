"""The output of the commands: progress, log files and tables."""
