"""What a number means: pure functions on pairs of masks, and metrics that mmengine can run."""
