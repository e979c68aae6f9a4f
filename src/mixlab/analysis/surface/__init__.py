"""Scores and losses as a function of a mixture's ratios: models, their choice, predicted optima, what to try next."""
