"""Queries about environments: outputs, status, history, differences and predictions."""
