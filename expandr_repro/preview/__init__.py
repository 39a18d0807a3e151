"""Preview what a command would read, fetch and do (--dry-run)."""
