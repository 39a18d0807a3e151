"""Run a command's work on other machines: workers of a Ray cluster, and scripts for SLURM."""
