"""Regressions: run the commands of a condition, and compare what comes out with what is pinned, both ways."""
