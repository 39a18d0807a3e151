"""Train a dense retriever on expanded queries."""
