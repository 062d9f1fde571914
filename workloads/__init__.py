"""The models: declaration types, and one folder per workload with its declaration and its code. Imports no Pulumi."""
