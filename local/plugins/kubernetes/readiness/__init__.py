"""Decides whether objects are ready, and finds the reasons if they are not."""
