"""Doormat of stage counts: command line in, one call."""

from mixlab.stages import counts, doorway

if __name__ == "__main__":
    doorway.main("counts", counts.run)
