"""Generators: LLMs behind one small interface, chosen by name."""
