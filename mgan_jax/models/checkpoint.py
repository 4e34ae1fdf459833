"""Orbax's current interface, under whichever name the installed release offers it."""

try:
    from orbax.checkpoint import v1 as ocp
except ImportError:
    from orbax.checkpoint.experimental import v1 as ocp

__all__ = ['ocp']
