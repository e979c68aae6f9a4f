"""Models: their shape, forward pass and weights."""
