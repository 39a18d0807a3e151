"""Pyserini and Anserini: the JVM, names, encoders, feedback, encoded queries."""
