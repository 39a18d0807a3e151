"""Read and write regression files."""
