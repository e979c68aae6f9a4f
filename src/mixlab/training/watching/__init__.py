"""Watching a run: its log."""
