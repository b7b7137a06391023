"""The dataset that ``prepare`` writes, and ``train`` and ``evaluate`` read."""
