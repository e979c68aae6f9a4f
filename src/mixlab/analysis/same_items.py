"""What is compared answers the same questions: an item that one of the models has no score for counts for none."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixlab.config.analysis import ComparisonSettings

if TYPE_CHECKING:
    import pandas as pd

_MODEL = ("variant_key", "stage", "model_key")
RANKED = ("base_model_key", "stage", "benchmark", "measure")
IMPROVED = ("variant_key", "benchmark", "measure")


def keep_same_items(frame: "pd.DataFrame", together: Sequence[str], model: Sequence[str] = _MODEL) -> "pd.DataFrame":
    """Blank the scores of each item that some model lacks among those whose columns `together` are equal.

    No row is dropped. A model, which the columns `model` tell from others, without a single score there is lost as a
    whole and takes no item from the others.
    """
    if frame["score"].notna().all():
        return frame
    import pandas as pd

    place, models = [*together, "item"], list(dict.fromkeys([*together, *model]))
    scored = frame.loc[frame["score"].notna(), [*models, "item"]].drop_duplicates()
    having = scored.groupby(place).size()
    everyone = scored[models].drop_duplicates().groupby(list(together)).size()
    wanted = everyone.reindex(having.index.droplevel("item"))
    kept = having.index[having.to_numpy() == wanted.to_numpy()]
    is_kept = pd.MultiIndex.from_frame(frame[place]).isin(kept)
    return frame.assign(score=frame["score"].where(is_kept))


def keep_compared(frame: "pd.DataFrame", comparison: ComparisonSettings) -> "pd.DataFrame":
    """Return the rows of a comparison's two points, with scores for the items that every model of both has one for."""
    sides = frame["variant_key"].isin([comparison.variant_key, comparison.against_key])
    rows = frame[sides & (frame["stage"] == comparison.stage) & (frame["measure"] == comparison.measure)]
    return keep_same_items(rows, ("benchmark", "measure"))


def describe_left_out(asked: int, counted: int) -> str:
    """Say how many items were left out, or nothing."""
    left_out = asked - counted
    return f"{left_out} of {asked} items left out: not every model compared has a score" if left_out > 0 else ""
