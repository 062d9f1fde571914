"""Endpoints: the variants of a workload behind one address, for both serving engines."""
