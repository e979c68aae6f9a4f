"""Doormat of stage pack: command line in, one call."""

from mixlab.stages import doorway, pack

if __name__ == "__main__":
    doorway.main("pack", pack.run)
