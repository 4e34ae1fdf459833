"""Pictures of a run's report for the README: the page and the view of an image.

python -m benchmarks.screenshots [--run results/super_resolve] [--image scene3] [--out docs/pictures] [--dark]

Needs Chromium. The run of the README's pictures: python -m mgan_jax.invert --config configs/sr.py
"""

import argparse
import io
import urllib.parse
from pathlib import Path

from PIL import Image

from tests import browser

SIZE = (1080, 900)
LOADED = '[...document.images].every((image) => image.complete)'


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument('--run', default='results/super_resolve')
    parser.add_argument('--image', default='scene3')
    parser.add_argument('--out', type=Path, default=Path('docs/pictures'))
    parser.add_argument('--dark', action='store_true')
    chosen = parser.parse_args(arguments)
    if browser.find_browser() is None:
        parser.exit(2, 'no Chromium was found; install it, as by `apt-get install chromium`.\n')
    address = (Path(chosen.run) / 'report.html').absolute()
    if not address.is_file():
        parser.exit(2, f'{address} does not exist; give the folder of a run.\n')
    with browser.open_page(*SIZE, dark=chosen.dark) as page:
        page.open(address.as_uri())
        keep(page, chosen.out / 'report.png', 'window.scrollTo(0, 0)')
        page.run(f"location.hash = '#/{urllib.parse.quote(chosen.image)}'")
        keep(page, chosen.out / 'report_image.png', "document.querySelector('#image-view h2') !== null", whole=True)


def keep(page: browser.Page, path: Path, before: str, whole: bool = False) -> None:
    page.run(before)
    page.until(LOADED)
    page.run('new Promise((done) => setTimeout(done, 500))')
    with Image.open(io.BytesIO(page.screenshot(whole))) as picture:
        small = picture.convert('RGB').quantize(256)
    small.save(path, optimize=True)
    print(f'{path}: {path.stat().st_size / 1000:.0f} kB')


if __name__ == '__main__':
    main()
