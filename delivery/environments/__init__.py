"""One environment as it is and was: outputs, status, history."""
