"""Doormat of stage source: command line in, one call."""

from mixlab.stages import doorway, source

if __name__ == "__main__":
    doorway.main("source", source.run)
