"""The training steps, one module per step."""
