"""Doormat of stage sft: command line in, one call."""

from mixlab.stages import doorway, sft

if __name__ == "__main__":
    doorway.main("sft", sft.run)
