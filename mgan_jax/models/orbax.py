"""Orbax's current interface, under whichever name the installed release offers it."""

import jax

try:
    from orbax.checkpoint import v1 as ocp
except ImportError:
    from orbax.checkpoint.experimental import v1 as ocp

__all__ = ['local_context', 'ocp']


def local_context() -> 'ocp.Context':
    """A context in which Orbax saves and loads for this process alone, and waits for no other one of a distributed run."""
    own, context = jax.process_index(), ocp.Context()
    context.multiprocessing.primary_host = own
    context.multiprocessing.active_processes = {own}
    context.multiprocessing.barrier_sync_key_prefix = f'process{own}'
    return context
