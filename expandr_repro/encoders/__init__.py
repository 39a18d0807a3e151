"""Dense encoders: load a checkpoint, encode texts, cache vectors."""
