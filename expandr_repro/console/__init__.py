"""Options, progress, tables and plots of the commands."""
