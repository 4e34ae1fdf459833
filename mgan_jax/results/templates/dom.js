'use strict';
// The data of the page, and functions that make elements, pictures and numbers.
// Names of files are untrusted: texts become text nodes and attributes, never markup.

const DATA = JSON.parse(document.getElementById('data').textContent);
// One base64 WebP per image: input, result and target side by side.
const THUMBNAILS = document.getElementById('thumbs').textContent.split('\n');
const IMAGES = JSON.parse(document.getElementById('images').textContent).map((row, index) => ({
  index, name: row[0], status: row[1], values: row[2], files: DATA.files.filter((_, bit) => (row[3] >> bit) & 1),
  loss: row[4], psnr: row[5], thumbnail: THUMBNAILS[index] || '',
}));
const LABELS = {
  psnr: 'PSNR (dB)', ssim: 'SSIM', ms_ssim: 'MS-SSIM', lpips: 'LPIPS', hole_psnr: 'PSNR in the hole (dB)', auc: 'AuC', niqe: 'NIQE',
  input_psnr: 'PSNR of the input (dB)', input_ssim: 'SSIM of the input', input_lpips: 'LPIPS of the input',
  input_auc: 'AuC of the input', loss: 'Loss', steps: 'Steps', seconds: 'Seconds',
};
const WHOLE_NUMBERS = ['steps'];

// Attributes that are functions become listeners: {onclick: f}. Children that are null are left out.
function makeElement(tag, attributes = {}, ...children) {
  return fillElement(document.createElement(tag), attributes, children);
}

function makeSvgElement(tag, attributes = {}, ...children) {
  return fillElement(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function fillElement(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// The label of a column of metrics.csv.
function columnLabel(column) {
  return LABELS[column] || column.replaceAll('_', ' ');
}

// A value of a column as text, with as many digits as `like` needs.
function formatValue(value, column, like = value) {
  if (value === null || value === undefined) return '–';
  if (WHOLE_NUMBERS.includes(column)) return String(value);
  const size = Math.abs(like);
  if (size && (size < 0.001 || size >= 1e6)) return value.toExponential(2);
  return size < 1 ? value.toFixed(4) : value.toFixed(2);
}

// The relative URL of a file in the folder of an image.
function fileUrl(image, file) {
  return './' + encodeURIComponent(image.name) + '/' + encodeURIComponent(file);
}

// The embedded input, result or target of an image.
function makeThumbnail(image, title) {
  const count = image.files.includes('target.png') ? 3 : 2;
  const index = DATA.panels.indexOf(title);
  if (!image.thumbnail || index < 0 || index >= count) return makeElement('div', { class: 'missing' }, 'no ' + title);
  const node = makeElement('div', { class: 'thumb', role: 'img', 'aria-label': title + ' of ' + image.name });
  if (DATA.shape[0] < 128) node.classList.add('small');
  node.style.backgroundImage = 'url("data:image/webp;base64,' + image.thumbnail + '")';
  node.style.backgroundSize = count * 100 + '% 100%';
  node.style.backgroundPosition = (100 * index) / (count - 1) + '% 0';
  return node;
}

// A picture from its file; the embedded one if the file cannot be read.
function makePicture(image, title, lazy = false) {
  const file = title + '.png';
  if (!image.files.includes(file)) return makeThumbnail(image, title);
  const node = makeElement('img', { alt: title + ' of ' + image.name, class: 'full', draggable: 'false' });
  node.addEventListener('error', () => node.replaceWith(makeThumbnail(image, title)));
  node.addEventListener('load', () => node.classList.toggle('small', node.naturalWidth < 256));
  if (lazy) node.loading = 'lazy';
  node.src = fileUrl(image, file);
  return node;
}

// A comparison slider of two pictures, for mouse, touch and arrow keys. makeNode(image, title) makes a picture.
function makeSlider(image, left, right, makeNode) {
  const frame = makeElement('div', { class: 'compare' });
  const upper = makeNode(image, left);
  const range = makeElement('input', {
    type: 'range', min: 0, max: 100, value: 50, 'aria-label': left + ' against ' + right + ' of ' + image.name,
    oninput: () => frame.style.setProperty('--cut', range.value + '%'),
  });
  const move = (event) => {
    const box = frame.getBoundingClientRect();
    range.value = Math.round((100 * (event.clientX - box.left)) / box.width);
    range.dispatchEvent(new Event('input'));
  };
  frame.addEventListener('pointerdown', (event) => { frame.setPointerCapture(event.pointerId); move(event); });
  frame.addEventListener('pointermove', (event) => { if (frame.hasPointerCapture(event.pointerId)) move(event); });
  frame.style.aspectRatio = DATA.shape.join(' / ');
  frame.append(makeNode(image, right), makeElement('div', { class: 'upper' }, upper), makeElement('div', { class: 'line' }),
    makeElement('span', { class: 'tag', 'aria-hidden': 'true' }, left),
    makeElement('span', { class: 'tag right', 'aria-hidden': 'true' }, right), range);
  return frame;
}
