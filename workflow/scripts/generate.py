"""Doormat of stage generate: command line in, one call."""

from mixlab.stages import doorway, generate

if __name__ == "__main__":
    doorway.main("generate", generate.run)
