"""Knows bytes and folders: keys, digests, the store, provenance."""
