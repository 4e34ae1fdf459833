"""Converts weight files of other libraries to model directories.

    python -m converters SOURCE DESTINATION [--network NAME] [--architecture NAME] [--overwrite]

A conversion has three steps, which `convert` joins. A format reader turns a file into nested dictionaries of NumPy
arrays: `formats` detects the format from the content, `torch_file` and `network_pickle` read it. A name mapping
(`pggan`, `vgg`, ...) turns these into an architecture, its configuration and its parameters. `mgan_jax.models` writes
the model directory. The content of a file is never executed. Neither PyTorch nor TensorFlow is needed.
"""
