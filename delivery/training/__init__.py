"""Training runs and back-tests in the cluster, and how they are followed."""
