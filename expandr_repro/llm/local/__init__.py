"""Models on this machine: load weights, sample, decode many texts at once."""
