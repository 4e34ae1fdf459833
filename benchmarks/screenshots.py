"""`python -m benchmarks.screenshots [--run results/super_resolve] [--image scene3] [--out docs/pictures] [--dark]` takes pictures
of a run's report for the README: the page and the view of one image.

Needs Chromium. The run of the README's pictures: python -m mgan_jax.invert --config configs/sr.py
"""

import io
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from benchmarks import commands
from tests import browser

SIZE = (1080, 900)  # of the window, in pixels
LOADED = '[...document.images].every((image) => image.complete)'


def main(arguments: Sequence[str]) -> None:
    parser = commands.make_parser('screenshots', __doc__)
    parser.add_argument('--run', type=Path, default=Path('results/super_resolve'), help='the folder of a run')
    parser.add_argument('--image', default='scene3', help='the name of an image of the run')
    parser.add_argument('--out', type=Path, default=Path('docs/pictures'))
    parser.add_argument('--dark', action='store_true', help='the dark colours')
    options = parser.parse_args(arguments)
    report = (options.run / 'report.html').absolute()
    if not report.is_file():
        raise ValueError(f'{report} does not exist; give the folder of a run.')
    if not (options.run / options.image).is_dir():
        raise ValueError(f"the run {options.run} has no image '{options.image}'; give the name of one of its folders.")
    if not options.out.is_dir():
        raise ValueError(f'the folder {options.out} does not exist; make it, or give another one.')
    if browser.find_browser() is None:
        raise ValueError('no Chromium was found; install it, as by `apt-get install chromium`.')
    with browser.open_page(*SIZE, dark=options.dark) as page:
        page.open(report.as_uri())
        save_screenshot(page, options.out / 'report.png', 'window.scrollTo(0, 0)')
        page.run(f"location.hash = '#/{urllib.parse.quote(options.image)}'")
        opened = "document.querySelector('#image-view h2') !== null"
        save_screenshot(page, options.out / 'report_image.png', opened, whole=True)


def save_screenshot(page: browser.Page, path: Path, script: str, whole: bool = False) -> None:
    """Runs a script in the page, waits for its images and writes a picture. whole: of the page beyond the window."""
    page.run(script)
    page.until(LOADED)
    page.run('new Promise((done) => setTimeout(done, 500))')
    with Image.open(io.BytesIO(page.screenshot(whole))) as picture:
        small = picture.convert('RGB').quantize(256)
    small.save(path, optimize=True)
    print(f'{path}: {path.stat().st_size / 1000:.0f} kB')


if __name__ == '__main__':
    commands.run_command(main)
