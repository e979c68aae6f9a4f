"""Doormat of stage mixture: command line in, one call."""

from mixlab.stages import doorway, mixture

if __name__ == "__main__":
    doorway.main("mixture", mixture.run)
