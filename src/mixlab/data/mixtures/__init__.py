"""Mixtures: which window comes at which step, and the certificate that says so."""
