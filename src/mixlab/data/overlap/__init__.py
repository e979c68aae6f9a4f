"""Units of text that two records share: contamination of sources by benchmarks."""
