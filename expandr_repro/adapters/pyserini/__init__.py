"""The one door to Pyserini and its JVM. Importing it starts nothing; each function starts what it needs."""
