"""Knows text, tokens and ratios."""
