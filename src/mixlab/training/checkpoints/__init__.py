"""Checkpoints: resume states and snapshots, whole or not there."""
