"""Training runs and back-tests in the cluster: starts them, follows their logs and cancels them."""
