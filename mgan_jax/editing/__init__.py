"""Semantic editing: moves of latent codes, boundaries, and the edits of a run.

    from mgan_jax import editing

    moved = editing.move_codes(codes, normal, strength=1.0)

The pure functions of `moves` are also here.
"""

from mgan_jax.editing.moves import condition_boundary, match_codes, mix_styles, morph_codes, move_codes, render_edits

__all__ = ['condition_boundary', 'match_codes', 'mix_styles', 'morph_codes', 'move_codes', 'render_edits']
