"""Expand topics with an LLM."""
