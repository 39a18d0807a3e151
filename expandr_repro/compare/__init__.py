"""Compare runs on the same topics."""
