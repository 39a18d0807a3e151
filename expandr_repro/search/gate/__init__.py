"""Choose per topic between the query alone and the fusion: each gate is a function with `@gate`, in a module of this folder or a plug-in."""

from expandr_repro.search.gate.registry import GATES, Evidence, Gate, gate, gate_named

__all__ = ["GATES", "Evidence", "Gate", "gate", "gate_named"]
