"""Regression files: the shapes, reading, writing."""
