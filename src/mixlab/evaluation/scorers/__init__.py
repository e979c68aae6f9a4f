"""One file per scorer; `mixlab.evaluation.scoring` finds the one that settings name."""
