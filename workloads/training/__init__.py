"""Code that the training steps of all workloads share. Like the steps, it runs only in the training image."""
