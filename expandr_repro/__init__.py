"""ExpandR on the tools of the field: LLM-expanded queries with Pyserini, Faiss, TREC runs and ranx."""

__version__ = "0.1.0"
