"""Data loading: which windows a step sees, and as which tensors."""
