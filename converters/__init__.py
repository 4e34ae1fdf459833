"""Foreign weight files -> model directories.

    python -m converters SOURCE DESTINATION [--network NAME] [--architecture NAME] [--overwrite]

Three separate things, in the order of the data: a format reader turns a file into nested dictionaries of NumPy arrays
(`formats` finds the format by content; `torch_file`, `archive` and `unpickling` read it), a name mapping turns those into
an architecture, its configuration and its parameters (`pggan`, `vgg`), and `mgan_jax.models` writes the model directory.
`convert` joins them. No file's content is ever executed, and neither PyTorch nor TensorFlow is needed.
"""
