"""Benchmarks of this project next to its peers, in one run on the same work: `python -m benchmarks`."""
