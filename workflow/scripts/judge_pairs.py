"""Doormat of stage judge_pairs: command line in, one call."""

from mixlab.stages import doorway, judge_pairs

if __name__ == "__main__":
    doorway.main("judge_pairs", judge_pairs.run)
