"""In the source tree, the modules of this package are in the folder `configs` beside `mgan_jax`. An installed copy has them here."""

from pathlib import Path

__path__ = [str(Path(__file__).parents[2] / 'configs')]
