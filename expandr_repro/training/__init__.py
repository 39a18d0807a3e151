"""Shared parts of both trainings."""
