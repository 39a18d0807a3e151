"""Benchmarks of this project beside its peers, in one run on the same work: `python -m benchmarks`."""
