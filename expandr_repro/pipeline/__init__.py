"""What several commands do alike: find a collection, an encoder, an index, and search it."""
