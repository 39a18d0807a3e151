"""Read, check and write model folders."""
