"""What people type and see: options, progress, tables, plots."""
