"""Runs: jobs from settings, the pipeline, checkpoints, initial codes, estimates, events and processes."""
