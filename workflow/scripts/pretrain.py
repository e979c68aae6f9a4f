"""Doormat of stage pretrain: command line in, one call."""

from mixlab.stages import doorway, pretrain

if __name__ == "__main__":
    doorway.main("pretrain", pretrain.run)
