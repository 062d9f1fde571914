"""What every section of a stack file is made of: the base class, the formats of values, and the texts of errors."""
