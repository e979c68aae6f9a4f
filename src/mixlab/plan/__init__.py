"""Knows what must exist: specs, stages, expansion. Imports nothing heavy."""
