// The settings, and the addresses of the page: '#/NAME' shows an image, any other one the run.

// Shows the command of the run, its settings, versions and devices. A setting is [name, value, value of the preset or null].
function showSettings() {
  const changed = DATA.settings.filter((row) => row[2] !== null), all = [...DATA.settings].sort((a, b) => (a[0] < b[0] ? -1 : 1));
  const table = (settings) => makeElement('table', {}, makeElement('tbody', {}, ...settings.map(([name, value, changed]) => makeElement('tr', changed === null ? {} : { class: 'changed' },
    makeElement('th', { scope: 'row' }, name), makeElement('td', {}, value), makeElement('td', { class: 'soft' }, changed === null ? '' : 'instead of ' + changed)))));
  const machine = [...DATA.versions, ...DATA.devices].map(([name, value]) => makeElement('tr', {}, makeElement('th', { scope: 'row' }, name), makeElement('td', {}, value)));
  const copy = makeElement('button', { type: 'button', onclick: () => navigator.clipboard.writeText(DATA.command).then(() => { copy.textContent = 'Copied'; }) }, 'Copy');
  const command = DATA.command ? [makeElement('p', { class: 'hint' }, 'The command of this run:'), makeElement('pre', { id: 'command', tabindex: 0 }, DATA.command), navigator.clipboard ? copy : null] : [];
  document.getElementById('settings').replaceChildren(...command.filter((part) => part), makeElement('div', { class: 'columns' },
    makeElement('div', {}, makeElement('p', { class: 'hint' }, changed.length ? 'Settings that differ from the preset ' + DATA.preset + ':' : 'All settings are those of the preset ' + DATA.preset + '.'),
      changed.length ? table(changed) : null, makeElement('details', {}, makeElement('summary', {}, 'All ' + all.length + ' settings'), table(all))),
    makeElement('div', {}, makeElement('p', { class: 'hint' }, 'Versions and devices'), makeElement('table', {}, makeElement('tbody', {}, ...machine)))));
}

// One sentence on the run: images done, mean PSNR.
function summarizeRun() {
  const done = IMAGES.filter((image) => image.status === 'done').length;
  const mean = (name) => {
    const values = COLUMNS.includes(name) ? IMAGES.map((image) => valueOf(image, name)).filter((value) => value !== null) : [];
    return values.length ? formatValue(summarize(values).mean, name) : null;
  };
  const psnr = mean('psnr'), inputPsnr = mean('input_psnr');
  return done + ' of ' + IMAGES.length + ' images done' + (psnr ? ', PSNR ' + psnr + ' dB' : '') + (inputPsnr ? ' (inputs ' + inputPsnr + ' dB)' : '') + (DATA.left_out ? '; ' + DATA.left_out : '') + '.';
}

let scrollOfRun = 0, current = null; // the scroll position of the run's view; the image that is shown

// Shows what the address of the page names.
function showAddress() {
  const name = location.hash.startsWith('#/') ? decodeHash(location.hash.slice(2)) : null;
  const image = name === null ? null : IMAGES.find((candidate) => candidate.name === name) || null;
  const run = document.getElementById('run-view'), view = document.getElementById('image-view');
  if (image && !current) scrollOfRun = window.scrollY;
  run.hidden = Boolean(image);
  view.hidden = !image;
  document.querySelector('header nav').hidden = Boolean(image);
  document.title = (image ? image.name + ' – ' : '') + DATA.title;
  if (image) {
    showImage(image);
    window.scrollTo({ top: 0, behavior: 'instant' });
    view.querySelector('h2').focus({ preventScroll: true });
  } else if (current) {
    view.replaceChildren();
    window.scrollTo({ top: scrollOfRun, behavior: 'instant' });
  }
  current = image;
}

// The name in an address; as it is if it is not encoded.
function decodeHash(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

document.addEventListener('keydown', (event) => {
  if (!current || event.target.closest('input, select, textarea, dialog') || event.ctrlKey || event.metaKey || event.altKey) return;
  const [before, after] = neighbours(current), to = { ArrowLeft: before, ArrowRight: after }[event.key];
  if (to) location.hash = imageHash(to);
  if (event.key === 'Escape') location.hash = '#';
});
window.addEventListener('hashchange', showAddress);
document.getElementById('run-summary').textContent = summarizeRun();
makeControls();
showGallery();
showSettings();
showAddress();
