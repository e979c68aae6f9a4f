"""Where stages keep what outlives their artifacts, relative to the working folder."""

from pathlib import Path

STORE = Path("stores") / "judge.sqlite"
"""Every verdict of every model judge, and what was spent; git-ignored."""
