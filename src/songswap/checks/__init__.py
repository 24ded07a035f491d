"""Whether what the pipeline needs is set right, and whether it does what it should."""
