"""The generator `invented_world`: knowledge of a small world in raw text, skills in instructions.

Nothing of the world is in a pretrained model's reach: people and facts are drawn from `world_seed`. Facts stand in
raw text alone; instructions teach to answer, to add, to sort and to write one-line functions. What a benchmark
asks is held out: no training prompt equals one of its prompts, and its questions are about people of whom no
instruction speaks. A trial of such a world and its effects on small models shaped the sizes.
"""

from mixlab.data.sources.invented_world.records import generate_world_records

__all__ = ["generate_world_records"]
