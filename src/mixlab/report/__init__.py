"""Knows paper and ink."""
