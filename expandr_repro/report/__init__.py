"""Make an HTML page of runs."""
