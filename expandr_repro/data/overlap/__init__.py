"""Training overlap: what a model was trained on, and which topics it has seen."""
