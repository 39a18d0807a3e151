"""What a command would read, fetch and do (--dry-run)."""
