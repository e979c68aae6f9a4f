"""The page of a study with its answers beside it: what `mixlab page` writes."""
