"""Who computes the steps: one process, several that hold the same, or several that share (DeepSpeed ZeRO)."""
