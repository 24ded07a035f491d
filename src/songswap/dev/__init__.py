"""What runs the pipeline on one machine, and tries it: no part of production."""
