"""The settings in a stack file: their types, how they are loaded, and the rules that hold between them."""
