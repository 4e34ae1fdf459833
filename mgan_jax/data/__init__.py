"""Images of a run: finding and reading files, masks, and observations.

Shapes: B images, H x W pixels, C channels (1 or 3), channels last. Pixels are float32 in [-1, 1]: -1 is black, 1 is white.
"""
