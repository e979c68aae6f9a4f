"""Safetensors files read and written a stretch at a time, without torch."""
