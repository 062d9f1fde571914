"""Endpoints: the variants of a workload behind one address, by either serving engine."""
