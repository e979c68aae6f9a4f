"""Token stores and mixtures for other trainers."""
