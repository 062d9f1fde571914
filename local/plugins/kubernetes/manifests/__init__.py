"""Kubernetes objects as data: spelling, names, quantities, differences, immutable fields."""
