"""Kubernetes objects as data: canonical spelling, names, quantities, differences, immutable fields."""
