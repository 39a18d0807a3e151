"""Training a local generator with trl: examples as token ids, the trainers, what is recorded, and what is written."""
