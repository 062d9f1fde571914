"""What the models are: declaration types, and one folder per model with its declaration and its code. Knows no Pulumi."""
