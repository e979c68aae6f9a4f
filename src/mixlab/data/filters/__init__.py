"""Filters: which records of a source are left out, and why."""
