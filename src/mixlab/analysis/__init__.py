"""Knows numbers."""
