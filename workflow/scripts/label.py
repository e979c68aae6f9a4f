"""Doormat of stage label: command line in, one call."""

from mixlab.stages import doorway, label

if __name__ == "__main__":
    doorway.main("label", label.run)
