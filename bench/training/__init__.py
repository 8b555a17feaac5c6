"""Training one cell: batches, the loop, evaluation, diagnostics, checkpoints."""
