"""Orbax's v1 interface, imported from where the installed release has it."""

import jax

try:
    from orbax.checkpoint import v1 as ocp
except ImportError:
    from orbax.checkpoint.experimental import v1 as ocp

__all__ = ['local_context', 'ocp']


def local_context() -> 'ocp.Context':
    """An Orbax context for this process alone: it saves and loads without waiting for the processes of a distributed
    run."""
    own, context = jax.process_index(), ocp.Context()
    context.multiprocessing.primary_host = own
    context.multiprocessing.active_processes = {own}
    context.multiprocessing.barrier_sync_key_prefix = f'process{own}'
    return context
