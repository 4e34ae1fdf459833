"""Settings: the fields of all commands, presets, flags and help, and errors as sentences."""
