"""Encode a corpus to an index."""
