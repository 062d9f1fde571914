"""What the steps of every workload's training share. Runs in the training environment alone, like the steps."""
