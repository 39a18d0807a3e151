"""Topics, runs, qrels, corpora, expansions: the shapes, their files, and where they are found by name."""
