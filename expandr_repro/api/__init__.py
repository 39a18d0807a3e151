"""The Python API for notebooks and scripts; `expandr_repro` exports all of it."""
