"""Figures of analyses: functions from tables and pictures to Matplotlib figures, and from these to files."""

import io
from collections.abc import Sequence
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
AGAINST = {'num_codes': 'number of codes N', 'layer': 'composing layer l'}
LESS_IS_BETTER = ('lpips', 'distance')
STYLE: Any = {
    'font.size': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.color': '#e0e0e0',
    'svg.hashsalt': 'mgan_jax',  # else the names of parts are random
    'svg.fonttype': 'path',
}


def require_matplotlib() -> None:
    """ValueError with one sentence where Matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ValueError("figures need Matplotlib; install it with `pip install -e '.[analysis]'`.") from error


def figure_files(figure: 'Figure') -> dict[str, bytes]:
    """'png' and 'svg': the contents of files, the same for the same figure."""
    import matplotlib

    found = {}
    for kind, metadata in (('png', {'Software': None}), ('svg', {'Date': None})):
        content = io.BytesIO()
        with matplotlib.rc_context(STYLE):
            figure.savefig(content, format=kind, dpi=110, metadata=metadata)
        found[kind] = content.getvalue()
    return found


def plot_curves(found: Sequence[Sequence[Curve | None]]) -> 'Figure':
    """A panel for each curve, as the rows of `found` have them, None for no panel: means, bands, and the best place marked."""
    import matplotlib
    from matplotlib.figure import Figure

    rows, columns = len(found), max(map(len, found))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.3 * columns, 2.5 * rows), layout='constrained')
        panels = figure.subplots(rows, columns, squeeze=False)
        for row, shown in zip(panels, found, strict=True):
            for place, axes in enumerate(row):
                one = shown[place] if place < len(shown) else None
                if one is None:
                    axes.remove()
                else:
                    _curve(axes, one)
    return figure


def _curve(axes: 'Axes', one: Curve) -> None:
    best = int((one.band.mean.argmin if one.measure in LESS_IS_BETTER else one.band.mean.argmax)())
    colour = COLOURS[0]
    axes.fill_between(one.places, one.band.low, one.band.high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(one.places, one.band.mean, color=colour, marker='o', markersize=3.5)
    axes.plot(one.places[best], one.band.mean[best], color=COLOURS[5], marker='D', markersize=7, linestyle='none')
    form = '.1f' if one.measure == 'psnr' else '.3f'
    at = {'num_codes': 'N', 'layer': 'l'}[one.against]
    axes.set_title(f'{TITLES[one.task]}: best {one.band.mean[best]:{form}} at {at} = {one.places[best]}', fontsize=9)
    if one.against == 'num_codes':  # of which the first few do most
        axes.set_xscale('log')
    axes.set_xticks(one.places, [str(place) for place in one.places])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(AGAINST[one.against])
    axes.set_ylabel(MEASURES[one.measure])


def plot_roles(
    inversion: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    maps: np.ndarray,
    found: Sequence[CodeRole],
    most: int = 5,
) -> 'Figure':
    """An inversion [H W C], its segmentation [H W] with a legend, and the differences [N H W] of the `most` codes whose marked
    pixels overlap a class most, brightest at each one's largest, with the marked pixels outlined."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    top = sorted(found, key=lambda role: -role.iou)[:most]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.75 * (2 + len(top)), 2.7), layout='constrained')
        panels = figure.subplots(1, 2 + len(top))
        _picture(panels[0], images.to_uint8(inversion), 'inversion')
        _picture(panels[1], _coloured(labels), 'segmentation')
        for axes, role in zip(panels[2:], top, strict=True):
            values = maps[role.code]
            axes.imshow(values, cmap='magma', vmin=0, vmax=max(float(values.max()), 1e-9), interpolation='nearest')
            if (marked := mark_large(values)).any():
                axes.contour(marked, levels=[0.5], colors='white', linewidths=0.7)
            _bare(axes, f'code {role.code + 1}\n{role.label}, IoU {role.iou:.2f}')
        seen = [Patch(color=_colour(number), label=classes[number]) for number in np.unique(labels)]
        figure.legend(handles=seen, loc='outside lower center', ncols=7, fontsize=8, frameon=False)
    return figure


def plot_grid(target: np.ndarray, rows: dict[str, dict[str, tuple[np.ndarray, str]]]) -> 'Figure':
    """A target [H W C], and a row of pictures for each title: {title of the column: (picture, what is told of it)}."""
    import matplotlib
    from matplotlib.figure import Figure

    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.15 * (1 + len(columns)), 1.5 * len(rows)), layout='constrained')
        panels = figure.subplots(len(rows), 1 + len(columns), squeeze=False)
        for axes, (title, row) in zip(panels, rows.items(), strict=True):
            _picture(axes[0], images.to_uint8(target), 'image')
            axes[0].set_ylabel(title)
            for one, column in zip(axes[1:], columns, strict=True):
                if column in row:
                    _picture(one, images.to_uint8(row[column][0]), f'{column}\n{row[column][1]}')
                else:
                    one.remove()
    return figure


def _picture(axes: 'Axes', values: np.ndarray, title: str) -> None:
    grey = values.shape[-1] == 1
    axes.imshow(
        values[..., 0] if grey else values, cmap='gray' if grey else None, vmin=0, vmax=255, interpolation='nearest'
    )
    _bare(axes, title)


def _bare(axes: 'Axes', title: str) -> None:
    axes.set_title(title, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _coloured(labels: np.ndarray) -> np.ndarray:
    """uint8 [H W 3]."""
    colours = np.array([list(bytes.fromhex(_colour(number)[1:])) for number in range(256)], np.uint8)
    return colours[labels]
