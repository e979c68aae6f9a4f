"""Doormat of stage tokenizer: command line in, one call."""

from mixlab.stages import doorway, tokenizer

if __name__ == "__main__":
    doorway.main("tokenizer", tokenizer.run)
