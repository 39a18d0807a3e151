"""Expansion methods: what an LLM is asked in which steps, what is read out of its answers, and how the texts are searched with."""
