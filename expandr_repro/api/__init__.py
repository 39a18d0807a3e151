"""The Python API: what a notebook types, each idea in a module of its own; `expandr_repro` itself hands all of it on."""
