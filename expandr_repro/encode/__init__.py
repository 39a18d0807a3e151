"""Encode a corpus into an index."""
