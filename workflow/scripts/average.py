"""Doormat of stage average: command line in, one call."""

from mixlab.stages import doorway, average

if __name__ == "__main__":
    doorway.main("average", average.run)
