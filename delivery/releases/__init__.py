"""Creates, promotes, approves, rolls back and reports releases."""
