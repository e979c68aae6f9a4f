"""Trainers that are not ours: running one, and looking at what it brings back before it counts as an artifact."""
