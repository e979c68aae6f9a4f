"""Doormat of stage tokenize_shard: command line in, one call."""

from mixlab.stages import doorway, tokenize_shard

if __name__ == "__main__":
    doorway.main("tokenize_shard", tokenize_shard.run)
