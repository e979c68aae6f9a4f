"""Hosts: the one floor where plan meets expert."""
