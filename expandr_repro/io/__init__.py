"""Read, write and show: files, manifests, tables, plots, progress."""
