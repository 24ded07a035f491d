"""HTTP as we want it, whoever is called: bounded, and going nowhere else."""
