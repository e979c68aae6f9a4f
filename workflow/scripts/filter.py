"""Doormat of stage filter: command line in, one call."""

from mixlab.stages import doorway, filter

if __name__ == "__main__":
    doorway.main("filter", filter.run)
