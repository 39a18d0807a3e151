"""Train an LLM on preference pairs or passages."""
