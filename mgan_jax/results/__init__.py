"""Results of a run: metrics, pictures, records of each image, the table of all images, and the report.

Shapes: B images, N codes, H x W pixels, C channels, channels last. Pixels are floats in [-1, 1].
"""
