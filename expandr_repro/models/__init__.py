"""torch, transformers and faiss: whatever must also work on a machine without Pyserini and Java."""
