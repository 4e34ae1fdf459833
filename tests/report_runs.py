"""Writes simulated runs for tests of the report: records, rows and files of images, without an optimisation."""

import io

import numpy as np
from PIL import Image

from mgan_jax.results import history, records, report, thumbnails
from mgan_jax.results.records import Identity, Result
from mgan_jax.settings import presets

HOSTILE_NAMES = [
    '</script><script>alert(1)</script>',
    '"><img src=x onerror=alert(2)>',
    'a\'b"c&amp;d',
    '日本 #50% ?',
    '<!--<script>',
]
FOLDER_NAMES = [name.replace('/', '_') for name in HOSTILE_NAMES]
STEPS, EVERY = 40, 10
SETTINGS = presets.make_settings(
    'super_resolve', generator='g', extractor='e', steps=STEPS, history_every=EVERY, num_codes=2, images='photos'
)
MACHINE = {'versions': {'jax': '1.2<3>'}, 'devices': ['cpu', 'cpu', '</script>']}
COLOURS = {'input': (255, 0, 0), 'result': (0, 255, 0), 'inversion': (0, 255, 0), 'target': (0, 0, 255)}


def make_result(number, target=True):
    """Returns a result with all files of a run. Input, result and target are red, green and blue."""
    shape = (16, 16, 3)
    pictures = {title: np.broadcast_to(np.float32(colour) / 127.5 - 1, shape) for title, colour in COLOURS.items()}
    if not target:
        del pictures['target']
    loss, psnr = 1 / (number + 1), {'psnr': 20.0 + number, 'input_psnr': 15.0} if target else {}
    row = {'name': '', 'status': records.DONE, 'loss': loss, **psnr, 'steps': STEPS, 'seconds': 1.0}
    frames = [(step, history.make_frame(pictures['result'], 10 + step / 4)) for step in range(EVERY, STEPS + 1, EVERY)]
    strip = io.BytesIO()
    Image.new('RGB', (32, 16), (9, 9, 9)).save(strip, format='PNG')
    files = history.make_history_files([(step, loss + 1 / (step + 1)) for step in range(STEPS)], frames)
    files |= {name: strip.getvalue() for name in ('codes.png', 'alpha.png', 'edit.png')}
    files |= {'edit.webp': files['history.webp'], 'preview.webp': thumbnails.make_thumbnail(pictures)}
    return Result(pictures, {'latents': np.zeros(3)}, row, files)


def write_run(store, images, failed=()):
    """Writes a run with its report. images: (name, result). failed: names of images that fail with a hostile reason."""
    records.write_run_config(store, SETTINGS, MACHINE)
    rows = records.open_rows(store)
    for index, (name, result) in enumerate(images):
        result = result._replace(row=result.row | {'name': name})
        records.write_record(store, name, Identity('image', 'settings'), result)
        rows.add(index, result.row)
    for index, name in enumerate(failed, len(images)):
        rows.add(index, {'name': name, 'status': f'{name}: <b>cannot</b> be read </script>'})
    rows.finish()
    report.write_report(store)
