"""Make preference pairs from candidate expansions."""
