"""Doormat of stage ipt: command line in, one call."""

from mixlab.stages import doorway, ipt

if __name__ == "__main__":
    doorway.main("ipt", ipt.run)
