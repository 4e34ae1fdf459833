"""The configurations of `--config`: a file per task, with `get_config(preset)`."""
