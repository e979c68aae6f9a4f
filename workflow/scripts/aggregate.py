"""Doormat of stage aggregate: command line in, one call."""

from mixlab.stages import aggregate, doorway

if __name__ == "__main__":
    doorway.main("aggregate", aggregate.run)
