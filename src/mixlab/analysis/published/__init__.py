"""Published result tables: read as printed, re-derived from each other, put beside those of a study."""
