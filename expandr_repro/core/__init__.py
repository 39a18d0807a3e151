"""The shapes that flow between the stages, and their files: no torch, no JVM, no network."""
