"""Fuse runs: several rankings of the same topics into one, with ranx's methods and normalisations."""
