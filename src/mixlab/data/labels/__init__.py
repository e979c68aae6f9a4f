"""Categories of records, told by a language model or by rules."""
