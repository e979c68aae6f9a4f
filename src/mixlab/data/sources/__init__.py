"""Sources: from rows to the records of a source, an index of them, and what was left out."""
