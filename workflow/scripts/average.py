"""Doormat of stage average: command line in, one call."""

from mixlab.stages import average, doorway

if __name__ == "__main__":
    doorway.main("average", average.run)
