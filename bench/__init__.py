"""The harness: grids of cells, one training loop, one evaluator, results and reports."""
