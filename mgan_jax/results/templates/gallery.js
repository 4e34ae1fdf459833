// Choosing, sorting and paging of images, and their cards.

const COLUMNS = DATA.columns.filter((_, index) => IMAGES.some((image) => image.values[index] !== null));
const HAS_TARGET = IMAGES.some((image) => image.files.includes('target.png'));
const choice = { query: '', status: '', sort: '', descending: false, ranges: {}, page: 0, size: 48, compare: 'input' };
const controls = {};

function valueOf(image, column) {
  return image.values[DATA.columns.indexOf(column)];
}

function isChosen(image) {
  if (choice.query && !image.name.toLowerCase().includes(choice.query)) return false;
  if (choice.status && (image.status === 'done') !== (choice.status === 'done')) return false;
  return Object.entries(choice.ranges).every(([column, [low, high]]) => {
    const value = valueOf(image, column);
    return value !== null && value !== undefined && (low === null || value >= low) && (high === null || value <= high);
  });
}

function chosen() {
  const found = IMAGES.filter(isChosen), sign = choice.descending ? -1 : 1;
  if (choice.sort === 'name') return found.sort((a, b) => sign * a.name.localeCompare(b.name, 'en', { numeric: true }));
  if (choice.sort === 'status') return found.sort((a, b) => sign * a.status.localeCompare(b.status) || a.index - b.index);
  if (!choice.sort) return choice.descending ? found.reverse() : found;
  const known = found.filter((image) => valueOf(image, choice.sort) !== null), rest = found.filter((image) => valueOf(image, choice.sort) === null);
  known.sort((a, b) => sign * (valueOf(a, choice.sort) - valueOf(b, choice.sort)) || a.index - b.index);
  return [...known, ...rest];
}

function card(image) {
  const first = [choice.sort, 'psnr', 'hole_psnr', 'auc', 'ssim', 'lpips', 'niqe', 'loss'];
  const columns = [...new Set(first.filter((name) => COLUMNS.includes(name)))].slice(0, 4);
  const figures = columns.filter((name) => valueOf(image, name) !== null).map((name) =>
    element('div', {}, element('dt', {}, label(name).replace(' (dB)', '')), element('dd', {}, shown(valueOf(image, name), name))));
  const there = image.thumb || image.files.includes('result.png'), make = image.thumb ? thumb : (of, title) => picture(of, title, true);
  const frame = there ? slider(image, choice.compare, 'result', make) : element('div', { class: 'missing compare' }, 'no picture');
  frame.style.aspectRatio = DATA.shape.join(' / ');
  return element('li', { class: 'card' }, frame, element('div', { class: 'text' },
    element('a', { href: route(image) }, image.name),
    image.status === 'done' ? null : element('div', { class: 'failed' }, image.status), element('dl', {}, ...figures)));
}

function showGallery(keepPage = false) {
  const found = chosen(), pages = Math.max(1, Math.ceil(found.length / choice.size));
  choice.page = keepPage ? Math.max(0, Math.min(choice.page, pages - 1)) : 0;
  const from = choice.page * choice.size, part = found.slice(from, from + choice.size);
  document.getElementById('cards').replaceChildren(...part.map(card));
  document.getElementById('count').textContent = found.length === IMAGES.length
    ? IMAGES.length + ' images' : found.length + ' of ' + IMAGES.length + ' images';
  document.getElementById('pages').replaceChildren(...(pages > 1 ? pager(pages) : []));
  if (!keepPage) showFigures(found);
}

function pager(pages) {
  const turn = (page) => { choice.page = page; showGallery(true); document.getElementById('gallery-part').scrollIntoView(); };
  const input = element('input', {
    type: 'number', min: 1, max: pages, value: choice.page + 1, 'aria-label': 'Page', onchange: () => turn(Number(input.value) - 1 || 0),
  });
  const button = (text, page) => element('button', { type: 'button', disabled: page < 0 || page >= pages, onclick: () => turn(page) }, text);
  return [button('Previous', choice.page - 1), input, element('span', {}, 'of ' + pages), button('Next', choice.page + 1)];
}

function showFigures(found) {
  const tiles = COLUMNS.map((name) => [name, found.map((image) => valueOf(image, name)).filter((value) => value !== null)]);
  document.getElementById('histograms').replaceChildren(...tiles.filter(([, values]) => values.length).map(([name, values]) => histogram(name, values, pickRange)));
  const curves = curveTiles(found);
  document.getElementById('curves').replaceChildren(...curves);
  document.getElementById('curves-part').hidden = !DATA.loss_steps.length;
}

function pickRange(column, low, high) {
  location.hash = '';
  const unit = 10 ** Math.floor(Math.log10(Math.abs(high - low) / 1000 || 1e-6));
  const round = (value, way) => Number((way(value / unit) * unit).toPrecision(8));
  controls.details.open = true;
  controls[column].forEach((input, index) => { input.value = index ? round(high, Math.ceil) : round(low, Math.floor); });
  readRange(column);
  document.getElementById('gallery-part').scrollIntoView();
}

function readRange(column) {
  const values = controls[column].map((input) => (input.value === '' ? null : Number(input.value)));
  if (values.every((value) => value === null)) delete choice.ranges[column];
  else choice.ranges[column] = values;
  showGallery();
}

function ranges() {
  return COLUMNS.map((column) => {
    const known = IMAGES.map((image) => valueOf(image, column)).filter((value) => value !== null);
    if (!known.length) return null;
    controls[column] = ['least', 'most'].map((end) => element('input', {
      type: 'number', step: 'any', placeholder: shown(end === 'least' ? summary(known).low : summary(known).high, column),
      'aria-label': label(column) + ', at ' + end, oninput: () => readRange(column),
    }));
    return element('fieldset', {}, element('legend', {}, label(column)), controls[column][0], 'to', controls[column][1]);
  });
}

function makeControls() {
  const form = document.getElementById('controls');
  const select = (id, text, options, act) => element('label', {}, text, element('select', { id, onchange: (event) => act(event.target.value) },
    ...options.map(([value, title]) => element('option', { value }, title))));
  const search = element('input', { type: 'search', id: 'query', placeholder: 'part of a name', oninput: () => { choice.query = search.value.toLowerCase(); showGallery(); } });
  const sorts = [['', 'order of the list'], ['name', 'name'], ['status', 'status'], ...COLUMNS.map((name) => [name, label(name)])];
  controls.details = element('details', {}, element('summary', {}, 'Filter by metrics'), element('div', { class: 'ranges' }, ...ranges()));
  form.addEventListener('submit', (event) => event.preventDefault());
  form.append(
    element('label', {}, 'Name', search),
    select('status', 'Status', [['', 'all'], ['done', 'done'], ['failed', 'failed']], (value) => { choice.status = value; showGallery(); }),
    select('sort', 'Sort by', sorts, (value) => { choice.sort = value; showGallery(); }),
    select('order', 'Order', [['', 'ascending'], ['down', 'descending']], (value) => { choice.descending = value === 'down'; showGallery(); }),
    HAS_TARGET ? select('compare', 'Compare with', [['input', 'input'], ['target', 'target']], (value) => { choice.compare = value; showGallery(true); }) : '',
    select('size', 'A page has', [[48, '48'], [96, '96'], [192, '192'], [24, '24']], (value) => { choice.size = Number(value); showGallery(); }),
    element('button', { type: 'button', id: 'reset', onclick: reset }, 'All images'), controls.details);
}

function reset() {
  Object.assign(choice, { query: '', status: '', ranges: {} });
  for (const input of document.querySelectorAll('#controls input')) input.value = '';
  document.getElementById('status').value = '';
  showGallery();
}
