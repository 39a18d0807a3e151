"""A method of next month's paper: one entry, as it would stand in a YAML file."""

HAIKU = {
    "summary": "two haikus",
    "source": "arXiv 2700.00001",
    "steps": [{"type": "passage", "template": "Write a haiku on {query}.", "samples": 2, "temperature": 0.9}],
    "fusion": {"bm25": "repeat:n=2", "dense": "mean"},
}
