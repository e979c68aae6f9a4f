"""Doormat of stage base_model: command line in, one call."""

from mixlab.stages import base_model, doorway

if __name__ == "__main__":
    doorway.main("base_model", base_model.run)
