"""Convolution kernels: plain, by phases, and by Winograd transforms."""
