// The gallery: selection, sorting and paging of images, and their cards.

const COLUMNS = DATA.columns.filter((_, index) => IMAGES.some((image) => image.values[index] !== null));
const HAS_TARGET = IMAGES.some((image) => image.files.includes('target.png'));
const selection = { query: '', status: '', sort: '', descending: false, ranges: {}, page: 0, size: 48, compare: 'input' };
const controls = {};

// The value of an image in a column; null if it has none.
function valueOf(image, column) {
  return image.values[DATA.columns.indexOf(column)];
}

function isSelected(image) {
  if (selection.query && !image.name.toLowerCase().includes(selection.query)) return false;
  if (selection.status && (image.status === 'done') !== (selection.status === 'done')) return false;
  return Object.entries(selection.ranges).every(([column, [low, high]]) => {
    const value = valueOf(image, column);
    return value !== null && value !== undefined && (low === null || value >= low) && (high === null || value <= high);
  });
}

// The images that match the selection, in its order. Images without the value to sort by come last.
function selectedImages() {
  const matching = IMAGES.filter(isSelected), sign = selection.descending ? -1 : 1;
  if (selection.sort === 'name') return matching.sort((a, b) => sign * a.name.localeCompare(b.name, 'en', { numeric: true }));
  if (selection.sort === 'status') return matching.sort((a, b) => sign * a.status.localeCompare(b.status) || a.index - b.index);
  if (!selection.sort) return selection.descending ? matching.reverse() : matching;
  const known = matching.filter((image) => valueOf(image, selection.sort) !== null), rest = matching.filter((image) => valueOf(image, selection.sort) === null);
  known.sort((a, b) => sign * (valueOf(a, selection.sort) - valueOf(b, selection.sort)) || a.index - b.index);
  return [...known, ...rest];
}

// A card: a slider, the name, the reason of a failure, and up to four metrics.
function makeCard(image) {
  const preferred = [selection.sort, 'psnr', 'hole_psnr', 'auc', 'ssim', 'lpips', 'niqe', 'loss'];
  const columns = [...new Set(preferred.filter((name) => COLUMNS.includes(name)))].slice(0, 4);
  const metrics = columns.filter((name) => valueOf(image, name) !== null).map((name) =>
    makeElement('div', {}, makeElement('dt', {}, columnLabel(name).replace(' (dB)', '')), makeElement('dd', {}, formatValue(valueOf(image, name), name))));
  const hasPicture = image.thumbnail || image.files.includes('result.png');
  const makeNode = image.thumbnail ? makeThumbnail : (shown, title) => makePicture(shown, title, true);
  const frame = hasPicture ? makeSlider(image, selection.compare, 'result', makeNode) : makeElement('div', { class: 'missing compare' }, 'no picture');
  frame.style.aspectRatio = DATA.shape.join(' / ');
  return makeElement('li', { class: 'card' }, frame, makeElement('div', { class: 'text' },
    makeElement('a', { href: imageHash(image) }, image.name),
    image.status === 'done' ? null : makeElement('div', { class: 'failed' }, image.status), makeElement('dl', {}, ...metrics)));
}

// Shows the selected images. keepPage: the selection has not changed.
function showGallery(keepPage = false) {
  const matching = selectedImages(), pages = Math.max(1, Math.ceil(matching.length / selection.size));
  selection.page = keepPage ? Math.max(0, Math.min(selection.page, pages - 1)) : 0;
  const from = selection.page * selection.size, part = matching.slice(from, from + selection.size);
  document.getElementById('cards').replaceChildren(...part.map(makeCard));
  document.getElementById('count').textContent = matching.length === IMAGES.length
    ? IMAGES.length + ' images' : matching.length + ' of ' + IMAGES.length + ' images';
  document.getElementById('pages').replaceChildren(...(pages > 1 ? makePager(pages) : []));
  if (!keepPage) showMetrics(matching);
}

function makePager(pages) {
  const turn = (page) => { selection.page = page; showGallery(true); document.getElementById('gallery-part').scrollIntoView(); };
  const input = makeElement('input', {
    type: 'number', min: 1, max: pages, value: selection.page + 1, 'aria-label': 'Page', onchange: () => turn(Number(input.value) - 1 || 0),
  });
  const button = (text, page) => makeElement('button', { type: 'button', disabled: page < 0 || page >= pages, onclick: () => turn(page) }, text);
  return [button('Previous', selection.page - 1), input, makeElement('span', {}, 'of ' + pages), button('Next', selection.page + 1)];
}

// Shows histograms and curves of the selected images.
function showMetrics(matching) {
  const tiles = COLUMNS.map((name) => [name, matching.map((image) => valueOf(image, name)).filter((value) => value !== null)]);
  document.getElementById('histograms').replaceChildren(...tiles.filter(([, values]) => values.length).map(([name, values]) => makeHistogram(name, values, selectRange)));
  const curves = makeCurveTiles(matching);
  document.getElementById('curves').replaceChildren(...curves);
  document.getElementById('curves-part').hidden = !DATA.loss_steps.length;
}

// Selects the images of a histogram's bar: fills in the inputs of its column.
function selectRange(column, low, high) {
  location.hash = '';
  const unit = 10 ** Math.floor(Math.log10(Math.abs(high - low) / 1000 || 1e-6));
  const round = (value, rounding) => Number((rounding(value / unit) * unit).toPrecision(8));
  controls.details.open = true;
  controls[column].forEach((input, index) => { input.value = index ? round(high, Math.ceil) : round(low, Math.floor); });
  readRange(column);
  document.getElementById('gallery-part').scrollIntoView();
}

// Reads the inputs of a column into the selection.
function readRange(column) {
  const values = controls[column].map((input) => (input.value === '' ? null : Number(input.value)));
  if (values.every((value) => value === null)) delete selection.ranges[column];
  else selection.ranges[column] = values;
  showGallery();
}

// Two inputs, least and most, for each column with values.
function makeRangeInputs() {
  return COLUMNS.map((column) => {
    const known = IMAGES.map((image) => valueOf(image, column)).filter((value) => value !== null);
    if (!known.length) return null;
    controls[column] = ['least', 'most'].map((end) => makeElement('input', {
      type: 'number', step: 'any', placeholder: formatValue(end === 'least' ? summarize(known).low : summarize(known).high, column),
      'aria-label': columnLabel(column) + ', at ' + end, oninput: () => readRange(column),
    }));
    return makeElement('fieldset', {}, makeElement('legend', {}, columnLabel(column)), controls[column][0], 'to', controls[column][1]);
  });
}

// Fills the form above the gallery.
function makeControls() {
  const form = document.getElementById('controls');
  const select = (id, text, options, act) => makeElement('label', {}, text, makeElement('select', { id, onchange: (event) => act(event.target.value) },
    ...options.map(([value, title]) => makeElement('option', { value }, title))));
  const search = makeElement('input', { type: 'search', id: 'query', placeholder: 'part of a name', oninput: () => { selection.query = search.value.toLowerCase(); showGallery(); } });
  const sorts = [['', 'order of the list'], ['name', 'name'], ['status', 'status'], ...COLUMNS.map((name) => [name, columnLabel(name)])];
  controls.details = makeElement('details', {}, makeElement('summary', {}, 'Filter by metrics'), makeElement('div', { class: 'ranges' }, ...makeRangeInputs()));
  form.addEventListener('submit', (event) => event.preventDefault());
  form.append(
    makeElement('label', {}, 'Name', search),
    select('status', 'Status', [['', 'all'], ['done', 'done'], ['failed', 'failed']], (value) => { selection.status = value; showGallery(); }),
    select('sort', 'Sort by', sorts, (value) => { selection.sort = value; showGallery(); }),
    select('order', 'Order', [['', 'ascending'], ['down', 'descending']], (value) => { selection.descending = value === 'down'; showGallery(); }),
    HAS_TARGET ? select('compare', 'Compare with', [['input', 'input'], ['target', 'target']], (value) => { selection.compare = value; showGallery(true); }) : '',
    select('size', 'Images per page', [[48, '48'], [96, '96'], [192, '192'], [24, '24']], (value) => { selection.size = Number(value); showGallery(); }),
    makeElement('button', { type: 'button', id: 'reset', onclick: resetSelection }, 'Clear filters'), controls.details);
}

// Clears the name, the status and the ranges of the selection.
function resetSelection() {
  Object.assign(selection, { query: '', status: '', ranges: {} });
  for (const input of document.querySelectorAll('#controls input')) input.value = '';
  document.getElementById('status').value = '';
  showGallery();
}
