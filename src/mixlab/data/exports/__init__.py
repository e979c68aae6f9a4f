"""Token stores and mixtures for other trainers, and their tokens as texts."""
