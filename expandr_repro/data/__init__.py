"""Topics, runs, qrels, corpora and expansions: data classes, files, and collections by name."""
