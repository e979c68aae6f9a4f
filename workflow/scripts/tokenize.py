"""Doormat of stage tokenize: command line in, one call."""

from mixlab.stages import doorway, tokenize

if __name__ == "__main__":
    doorway.main("tokenize", tokenize.run)
