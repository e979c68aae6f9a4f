"""Doormat of stage judge: command line in, one call."""

from mixlab.stages import doorway, judge

if __name__ == "__main__":
    doorway.main("judge", judge.run)
