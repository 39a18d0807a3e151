"""Encoders: a spec, and a class that makes vectors by itself."""

import numpy as np

from expandr_repro.data.specs import EncoderSpec, encoders

FIRST_AND_LAST = EncoderSpec(model=encoders()["all-MiniLM-L6-v2"].model, pooling="first-and-last", source="an example")


class LettersEncoder:
    """Counts of letters as vectors."""

    name, dimension, separator = "letters", 26, ""

    def __init__(self, options):
        self.truncated = {"query": 0, "expansion": 0, "document": 0}
        self.identity = {"name": "letters", "version": "1.0", "dimension": 26}

    def encode(self, texts, role):
        """Encode texts to (len(texts), 26)."""
        counts = [[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]
        vectors = np.array(counts, dtype=np.float32).reshape(len(texts), 26)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)
