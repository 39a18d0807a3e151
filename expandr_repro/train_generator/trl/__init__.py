"""The training itself, through trl."""
