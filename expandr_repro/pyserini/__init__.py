"""Pyserini and Anserini behind one door: the JVM, names, encoders, feedback, encoded queries."""
