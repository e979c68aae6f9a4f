"""Doormat of stage scores: command line in, one call."""

from mixlab.stages import doorway, scores

if __name__ == "__main__":
    doorway.main("scores", scores.run)
