"""Knows gradients: the loop, its schedules and states, and the mean of several models."""
