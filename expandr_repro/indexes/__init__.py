"""Faiss and Lucene indexes: build, find, merge, check."""
