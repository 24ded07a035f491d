"""The use cases: each decides the order of its steps."""
