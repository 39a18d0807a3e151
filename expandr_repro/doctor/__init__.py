"""Check this machine."""
