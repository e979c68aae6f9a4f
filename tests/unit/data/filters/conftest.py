"""The makers of leaks and of planted pairs are those of the performance programs."""

import sys
from pathlib import Path

PERFORMANCE = str(Path(__file__).resolve().parents[4] / "performance")
if PERFORMANCE not in sys.path:
    sys.path.append(PERFORMANCE)
