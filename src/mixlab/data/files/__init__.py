"""Formats of files: from bytes to rows, streaming; it knows no record."""
