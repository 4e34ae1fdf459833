// The settings, and what is shown at which address: '#/NAME' is an image, everything else the run.

function showSettings() {
  const changed = DATA.settings.filter((row) => row[2] !== null), all = [...DATA.settings].sort((a, b) => (a[0] < b[0] ? -1 : 1));
  const table = (settings) => element('table', {}, element('tbody', {}, ...settings.map(([name, value, changed]) => element('tr', changed === null ? {} : { class: 'changed' },
    element('th', { scope: 'row' }, name), element('td', {}, value), element('td', { class: 'soft' }, changed === null ? '' : 'instead of ' + changed)))));
  const machine = [...DATA.versions, ...DATA.devices].map(([name, value]) => element('tr', {}, element('th', { scope: 'row' }, name), element('td', {}, value)));
  const copy = element('button', { type: 'button', onclick: () => navigator.clipboard.writeText(DATA.command).then(() => { copy.textContent = 'Copied'; }) }, 'Copy');
  const command = DATA.command ? [element('p', { class: 'hint' }, 'The command that makes this run:'), element('pre', { id: 'command', tabindex: 0 }, DATA.command), navigator.clipboard ? copy : null] : [];
  document.getElementById('settings').replaceChildren(...command.filter((part) => part), element('div', { class: 'columns' },
    element('div', {}, element('p', { class: 'hint' }, changed.length ? 'What differs from the preset ' + DATA.preset + ':' : 'All is as in the preset ' + DATA.preset + '.'),
      changed.length ? table(changed) : null, element('details', {}, element('summary', {}, 'All ' + all.length + ' settings'), table(all))),
    element('div', {}, element('p', { class: 'hint' }, 'Versions and devices'), element('table', {}, element('tbody', {}, ...machine)))));
}

function told() {
  const done = IMAGES.filter((image) => image.status === 'done').length;
  const mean = (name) => {
    const values = COLUMNS.includes(name) ? IMAGES.map((image) => valueOf(image, name)).filter((value) => value !== null) : [];
    return values.length ? shown(summary(values).mean, name) : null;
  };
  const psnr = mean('psnr'), before = mean('input_psnr');
  return done + ' of ' + IMAGES.length + ' images done' + (psnr ? ', PSNR ' + psnr + ' dB' : '') + (before ? ' (inputs ' + before + ' dB)' : '') + (DATA.left_out ? '; ' + DATA.left_out : '') + '.';
}

let scrolled = 0, current = null;

function show() {
  const name = location.hash.startsWith('#/') ? decoded(location.hash.slice(2)) : null;
  const image = name === null ? null : IMAGES.find((candidate) => candidate.name === name) || null;
  const run = document.getElementById('run-view'), view = document.getElementById('image-view');
  if (image && !current) scrolled = window.scrollY;
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
    window.scrollTo({ top: scrolled, behavior: 'instant' });
  }
  current = image;
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

document.addEventListener('keydown', (event) => {
  if (!current || event.target.closest('input, select, textarea, dialog') || event.ctrlKey || event.metaKey || event.altKey) return;
  const [before, after] = neighbours(current), to = { ArrowLeft: before, ArrowRight: after }[event.key];
  if (to) location.hash = route(to);
  if (event.key === 'Escape') location.hash = '#';
});
window.addEventListener('hashchange', show);
document.getElementById('told').textContent = told();
makeControls();
showGallery();
showSettings();
show();
