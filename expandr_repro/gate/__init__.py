"""Fit gates for `search --gate` on training topics, and show what they learned."""
