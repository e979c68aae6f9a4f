"""Doormat of stage score: command line in, one call."""

from mixlab.stages import doorway, score

if __name__ == "__main__":
    doorway.main("score", score.run)
