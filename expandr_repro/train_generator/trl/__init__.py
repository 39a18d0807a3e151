"""Train with trl."""
