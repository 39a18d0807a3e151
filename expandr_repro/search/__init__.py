"""Search topics, with or without expansions, to a TREC run."""
