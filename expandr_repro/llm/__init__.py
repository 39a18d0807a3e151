"""Large language models: prompts, sampling, and the backends that generate texts."""
