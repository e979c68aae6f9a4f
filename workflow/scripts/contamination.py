"""Doormat of stage contamination: command line in, one call."""

from mixlab.stages import contamination, doorway

if __name__ == "__main__":
    doorway.main("contamination", contamination.run)
