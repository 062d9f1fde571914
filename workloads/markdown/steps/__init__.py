"""The steps of training, one module each."""
