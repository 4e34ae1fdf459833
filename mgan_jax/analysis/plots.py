"""Draws curves, roles of codes and grids of images as Matplotlib figures, and encodes figures as files."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mgan_jax.analysis.code_roles import CodeRole, mark_large
from mgan_jax.analysis.curves import Curve
from mgan_jax.data import images

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that people with any kind of colour vision tell apart (Okabe and Ito 2008), and further ones from their mixtures.
COLOURS: tuple[str, ...] = ('#0072B2', '#E69F00', '#009E73', '#CC79A7', '#56B4E9', '#D55E00', '#F0E442', '#000000')
COLOURS += ('#7F7F7F', '#80522D', '#882255', '#B3E0CC', '#F2C9DD')
TITLES = {
    'reconstruct': 'reconstruction',
    'super_resolve': 'super-resolution',
    'colorize': 'colourisation',
    'inpaint': 'inpainting',
    'denoise': 'denoising',
}
MEASURES = {'psnr': 'PSNR (dB)', 'auc': 'AuC of colours', 'lpips': 'LPIPS', 'distance': 'difference of features'}
AXES = {'num_codes': 'number of codes N', 'layer': 'composing layer l'}
SYMBOLS = {'num_codes': 'N', 'layer': 'l'}
LESS_IS_BETTER = ('lpips', 'distance')
STYLE: Any = {
    'font.size': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.color': '#e0e0e0',
    'svg.hashsalt': 'mgan_jax',  # otherwise the identifiers in the file are random
    'svg.fonttype': 'path',
}


def require_matplotlib() -> None:
    """Raises ValueError with one sentence if Matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ValueError("figures need Matplotlib; install it with `pip install 'mgan_jax[analysis]'`.") from error


def encode_figure(figure: 'Figure') -> dict[str, bytes]:
    """{'png': content, 'svg': content}; the same figure gives the same bytes."""
    import matplotlib

    files = {}
    for extension, metadata in (('png', {'Software': None}), ('svg', {'Date': None})):
        content = io.BytesIO()
        with matplotlib.rc_context(STYLE):
            figure.savefig(content, format=extension, dpi=110, metadata=metadata)
        files[extension] = content.getvalue()
    return files


def plot_curves(grid: Sequence[Sequence[Curve | None]]) -> 'Figure':
    """A grid of panels, each with the means and the band of a curve and its best point; None leaves a panel out."""
    import matplotlib
    from matplotlib.figure import Figure

    rows, columns = len(grid), max(map(len, grid))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.3 * columns, 2.5 * rows), layout='constrained')
        panels = figure.subplots(rows, columns, squeeze=False)
        for row, curves in zip(panels, grid, strict=True):
            for column, axes in enumerate(row):
                curve = curves[column] if column < len(curves) else None
                if curve is None:
                    axes.remove()
                else:
                    _plot_curve(axes, curve)
    return figure


def _plot_curve(axes: 'Axes', curve: Curve) -> None:
    mean, positions = curve.band.mean, curve.positions
    best = int(mean.argmin() if curve.measure in LESS_IS_BETTER else mean.argmax())
    axes.fill_between(positions, curve.band.low, curve.band.high, color=COLOURS[0], alpha=0.2, linewidth=0)
    axes.plot(positions, mean, color=COLOURS[0], marker='o', markersize=3.5)
    axes.plot(positions[best], mean[best], color=COLOURS[5], marker='D', markersize=7, linestyle='none')
    number = f'{mean[best]:.1f}' if curve.measure == 'psnr' else f'{mean[best]:.3f}'
    title = f'{TITLES[curve.task]}: best {number} at {SYMBOLS[curve.against]} = {positions[best]}'
    axes.set_title(title, fontsize=9)
    if curve.against == 'num_codes':  # the first few codes change the measure most
        axes.set_xscale('log')
    axes.set_xticks(positions, [str(position) for position in positions])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(AXES[curve.against])
    axes.set_ylabel(MEASURES[curve.measure])


def plot_roles(
    inversion: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    maps: np.ndarray,
    roles: Sequence[CodeRole],
    num_shown: int = 5,
) -> 'Figure':
    """The inversion, its segmentation, and the maps of the codes that overlap a class most.

    inversion: [H W C] in [-1, 1]. labels: [H W], indices into `classes`. maps: [N H W], see
    `code_roles.code_differences`. roles: of the N codes, of which `num_shown` are shown. Each map is brightest at its own
    maximum; lines enclose the marked pixels.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown = sorted(roles, key=lambda role: -role.iou)[:num_shown]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.75 * (2 + len(shown)), 2.7), layout='constrained')
        panels = figure.subplots(1, 2 + len(shown))
        _show_picture(panels[0], images.to_uint8(inversion), 'inversion')
        _show_picture(panels[1], _colour_labels(labels), 'segmentation')
        for axes, role in zip(panels[2:], shown, strict=True):
            values = maps[role.code]
            axes.imshow(values, cmap='magma', vmin=0, vmax=max(float(values.max()), 1e-9), interpolation='nearest')
            if (marked := mark_large(values)).any():
                axes.contour(marked, levels=[0.5], colors='white', linewidths=0.7)
            _hide_axes(axes, f'code {role.code + 1}\n{role.label}, IoU {role.iou:.2f}')
        legend = [Patch(color=_class_colour(number), label=classes[number]) for number in np.unique(labels)]
        figure.legend(handles=legend, loc='outside lower center', ncols=7, fontsize=8, frameon=False)
    return figure


def plot_grid(target: np.ndarray, grid: Mapping[str, Mapping[str, tuple[np.ndarray, str]]]) -> 'Figure':
    """A row of pictures for each generator, after the target [H W C].

    grid: {title of the row: {title of the column: (picture [H W C] in [-1, 1], caption)}}; a missing picture leaves its
    panel out.
    """
    import matplotlib
    from matplotlib.figure import Figure

    columns = list(dict.fromkeys(column for row in grid.values() for column in row))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.15 * (1 + len(columns)), 1.5 * len(grid)), layout='constrained')
        panels = figure.subplots(len(grid), 1 + len(columns), squeeze=False)
        for (first, *others), (title, row) in zip(panels, grid.items(), strict=True):
            _show_picture(first, images.to_uint8(target), 'image')
            first.set_ylabel(title)
            for axes, column in zip(others, columns, strict=True):
                if column in row:
                    picture, caption = row[column]
                    _show_picture(axes, images.to_uint8(picture), f'{column}\n{caption}')
                else:
                    axes.remove()
    return figure


def _show_picture(axes: 'Axes', pixels: np.ndarray, title: str) -> None:
    """Shows uint8 pixels [H W C]."""
    options: dict[str, Any] = {'vmin': 0, 'vmax': 255, 'interpolation': 'nearest'}
    if pixels.shape[-1] == 1:
        axes.imshow(pixels[..., 0], cmap='gray', **options)
    else:
        axes.imshow(pixels, **options)
    _hide_axes(axes, title)


def _hide_axes(axes: 'Axes', title: str) -> None:
    axes.set_title(title, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _class_colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _colour_labels(labels: np.ndarray) -> np.ndarray:
    """Labels [H W] -> uint8 [H W 3]."""
    colours = np.array([list(bytes.fromhex(_class_colour(number)[1:])) for number in range(256)], np.uint8)
    return colours[labels]
