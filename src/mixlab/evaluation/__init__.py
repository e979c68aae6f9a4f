"""Knows right and wrong."""
