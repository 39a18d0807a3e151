"""A plug-in of expandr_repro: one of each kind, each in one file."""
