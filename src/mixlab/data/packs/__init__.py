"""Packs: which stretches of a token store make a window."""
