"""python -m benchmarks.report and benchmarks.screenshots, on a simulated run of a few images."""

import json

import pytest
from PIL import Image

from benchmarks import report, screenshots
from tests import browser


@pytest.mark.skipif(browser.find_browser() is None, reason='there is no Chromium')
def test_figures_and_pictures(tmp_path, capsys):
    out = tmp_path / 'run'
    report.main(['--images', '40', '--side', '32', '--folder', str(out)])
    measures = json.loads(capsys.readouterr().out)
    assert measures['cards on the first page'] == 40 and measures['problems'] == []
    assert 0.04 < measures['MB'] < 1 and measures['seconds to open'] > 0
    for path in out.glob('photo*/*.png'):  # the pictures of a simulated run are empty files
        path.unlink()
    screenshots.main(['--run', str(out), '--image', 'photo-00007', '--out', str(tmp_path)])
    for name in ('report.png', 'report_image.png'):
        with Image.open(tmp_path / name) as picture:
            assert picture.size[0] == screenshots.SIZE[0] and picture.size[1] >= 300


def test_missing_reports_images_and_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match='report.html does not exist; give the folder of a run'):
        screenshots.main(['--run', str(tmp_path)])
    (tmp_path / 'report.html').touch()
    with pytest.raises(ValueError, match="has no image 'scene3'"):
        screenshots.main(['--run', str(tmp_path)])
    (tmp_path / 'scene3').mkdir()
    with pytest.raises(ValueError, match='missing does not exist'):
        screenshots.main(['--run', str(tmp_path), '--out', str(tmp_path / 'missing')])
