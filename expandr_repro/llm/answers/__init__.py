"""Clean the answers of LLMs: reasoning, chatter and refusals."""
