'use strict';
// Elements, pictures and numbers. Texts become text nodes and attributes, never markup: names are anyone's.

const DATA = JSON.parse(document.getElementById('data').textContent);
const THUMBS = document.getElementById('thumbs').textContent.split('\n');
const IMAGES = JSON.parse(document.getElementById('images').textContent).map((row, index) => ({
  index, name: row[0], status: row[1], values: row[2], files: DATA.files.filter((_, bit) => (row[3] >> bit) & 1),
  loss: row[4], psnr: row[5], thumb: THUMBS[index] || '',
}));
const LABELS = {
  psnr: 'PSNR (dB)', ssim: 'SSIM', ms_ssim: 'MS-SSIM', lpips: 'LPIPS', hole_psnr: 'PSNR in the hole (dB)', auc: 'AuC', niqe: 'NIQE',
  input_psnr: 'PSNR of the input (dB)', input_ssim: 'SSIM of the input', input_lpips: 'LPIPS of the input',
  input_auc: 'AuC of the input', loss: 'Loss', steps: 'Steps', seconds: 'Seconds',
};
const WHOLE = ['steps'];

function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function label(column) {
  return LABELS[column] || column.replaceAll('_', ' ');
}

// As people read it; with as many digits as `like` has.
function shown(value, column, like = value) {
  if (value === null || value === undefined) return '–';
  if (WHOLE.includes(column)) return String(value);
  const size = Math.abs(like);
  if (size && (size < 0.001 || size >= 1e6)) return value.toExponential(2);
  return size < 1 ? value.toFixed(4) : value.toFixed(2);
}

// Where a file of an image lies: beside this page, whatever its name.
function place(image, file) {
  return './' + encodeURIComponent(image.name) + '/' + encodeURIComponent(file);
}

// One of the embedded pictures of an image: input, result or target side by side in one strip.
function thumb(image, title) {
  const count = image.files.includes('target.png') ? 3 : 2;
  const at = DATA.panels.indexOf(title);
  if (!image.thumb || at < 0 || at >= count) return element('div', { class: 'missing' }, 'no ' + title);
  const node = element('div', { class: 'thumb', role: 'img', 'aria-label': title + ' of ' + image.name });
  if (DATA.shape[0] < 128) node.classList.add('small');
  node.style.backgroundImage = 'url("data:image/webp;base64,' + image.thumb + '")';
  node.style.backgroundSize = count * 100 + '% 100%';
  node.style.backgroundPosition = (100 * at) / (count - 1) + '% 0';
  return node;
}

// The picture from its file, the embedded one until and unless that can be read.
function picture(image, title, lazy = false) {
  const file = title + '.png';
  if (!image.files.includes(file)) return thumb(image, title);
  const node = element('img', { alt: title + ' of ' + image.name, class: 'full', draggable: 'false' });
  node.addEventListener('error', () => node.replaceWith(thumb(image, title)));
  node.addEventListener('load', () => node.classList.toggle('small', node.naturalWidth < 256));
  if (lazy) node.loading = 'lazy';
  node.src = place(image, file);
  return node;
}

// Two pictures and a line that uncovers one or the other: by mouse, touch or, with the focus on it, arrow keys.
function slider(image, left, right, make) {
  const frame = element('div', { class: 'compare' });
  const upper = make(image, left);
  const range = element('input', {
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
  frame.append(make(image, right), element('div', { class: 'upper' }, upper), element('div', { class: 'line' }),
    element('span', { class: 'tag', 'aria-hidden': 'true' }, left),
    element('span', { class: 'tag right', 'aria-hidden': 'true' }, right), range);
  return frame;
}
