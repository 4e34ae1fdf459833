// The view of one image: its pictures, metrics and curves, and the contributions of its codes.

// The address of an image's view.
function imageHash(image) {
  return '#/' + encodeURIComponent(image.name);
}

// The images before and after an image, among the selected ones if it is one of them.
function neighbours(image) {
  const list = selectedImages(), index = list.indexOf(image);
  return index < 0 ? [IMAGES[image.index - 1], IMAGES[image.index + 1]] : [list[index - 1], list[index + 1]];
}

function showImage(image) {
  const [before, after] = neighbours(image);
  const link = (to, text, key) => (to ? makeElement('a', { href: imageHash(to), rel: key, 'aria-keyshortcuts': key === 'prev' ? 'ArrowLeft' : 'ArrowRight' }, text) : makeElement('span', { class: 'soft' }, text));
  const bar = makeElement('div', { class: 'bar-of-view' }, makeElement('a', { href: '#', id: 'back' }, 'All images'),
    makeElement('h2', { tabindex: -1 }, image.name), link(before, '← Previous', 'prev'), link(after, 'Next →', 'next'));
  const failed = image.status === 'done' ? null : makeElement('p', { class: 'failed' }, image.status);
  const parts = image.thumbnail || image.files.length ? [makeComparison(image), makePictures(image), makeContributions(image), makeEdits(image)] : [makeMetricsTable(image)];
  const curves = makeCurveTiles(IMAGES, image);
  const drawn = curves.length ? makeElement('section', {}, makeElement('h2', {}, 'Curves'), makeElement('div', { class: 'tiles wide' }, ...curves)) : null;
  document.getElementById('image-view').replaceChildren(bar, ...[failed, parts[0], parts[3], parts[1], drawn, parts[2]].filter((part) => part));
}

// A slider between the result and the input or target, and the metrics.
function makeComparison(image) {
  const holder = makeElement('div', {}), titles = image.files.includes('target.png') ? ['input', 'target'] : ['input'];
  const fill = (left) => holder.replaceChildren(makeSlider(image, left, 'result', makePicture));
  fill('input');
  const choose = titles.length > 1 ? makeElement('label', { class: 'soft' }, 'compare with ', makeElement('select', { onchange: (event) => fill(event.target.value) },
    ...titles.map((title) => makeElement('option', {}, title)))) : null;
  return makeElement('div', { class: 'top' }, makeElement('div', {}, holder, choose), makeMetricsTable(image));
}

// The metrics of an image beside the means over all images.
function makeMetricsTable(image) {
  const rows = COLUMNS.filter((name) => valueOf(image, name) !== null).map((name) => {
    const all = IMAGES.map((other) => valueOf(other, name)).filter((value) => value !== null);
    const below = all.filter((value) => value < valueOf(image, name)).length;
    return makeElement('tr', {}, makeElement('th', { scope: 'row' }, columnLabel(name)), makeElement('td', {}, formatValue(valueOf(image, name), name)),
      makeElement('td', { class: 'soft' }, formatValue(summarize(all).mean, name)), makeElement('td', { class: 'soft' }, below + ' of ' + all.length));
  });
  if (!rows.length) return makeElement('p', { class: 'soft' }, 'This image has no metrics.');
  const head = ['', 'this image', 'mean of all', 'images with a lower value'].map((text) => makeElement('th', { scope: 'col' }, text));
  return makeElement('table', {}, makeElement('thead', {}, makeElement('tr', {}, ...head)), makeElement('tbody', {}, ...rows));
}

// The pictures of an image, each enlarged by a click, and its animation.
function makePictures(image) {
  const titles = ['input', 'result', 'inversion', 'target'].filter((title) => image.files.includes(title + '.png'));
  const list = titles.map((title) => {
    const button = makeElement('button', { type: 'button', 'aria-label': 'Enlarge: ' + title + ' of ' + image.name, onclick: () => showZoom(image, title) }, makePicture(image, title));
    button.style.aspectRatio = DATA.shape.join(' / ');
    return makeElement('figure', {}, button, makeElement('figcaption', {}, title));
  });
  if (image.files.includes('history.webp')) list.push(makeAnimation(image, 'history', 'over the steps', 'result of ' + image.name + ' over the steps'));
  return makeElement('section', {}, makeElement('h2', {}, 'Pictures'), makeElement('div', { class: 'pictures' }, ...list));
}

// An animation, removed if its file cannot be read, with a link to its video.
function makeAnimation(image, title, caption, alt) {
  const node = makeElement('img', { class: 'movie', alt: alt });
  const figure = makeElement('figure', {}, node, makeElement('figcaption', {}, caption,
    ...(image.files.includes(title + '.mp4') ? [' (', makeElement('a', { href: fileUrl(image, title + '.mp4') }, 'video'), ')'] : [])));
  node.style.aspectRatio = DATA.shape.join(' / ');
  node.addEventListener('error', () => figure.remove());
  node.addEventListener('load', () => node.classList.toggle('small', node.naturalWidth < 128));
  node.src = fileUrl(image, title + '.webp');
  return figure;
}

// The strip and the animation of an edit; null without them.
function makeEdits(image) {
  const list = [];
  if (image.files.includes('edit.png')) {
    const strip = makeElement('img', { class: 'strip', alt: 'edits of ' + image.name + ' with increasing strength' });
    const figure = makeElement('figure', { class: 'sheet' }, strip, makeElement('figcaption', {}, 'strength increases from left to right'));
    strip.addEventListener('error', () => figure.remove());
    strip.src = fileUrl(image, 'edit.png');
    list.push(figure);
  }
  if (image.files.includes('edit.webp')) list.push(makeAnimation(image, 'edit', 'each attribute forwards and backwards', 'animation of the edits of ' + image.name));
  return list.length ? makeElement('section', {}, makeElement('h2', {}, 'Edits'), makeElement('div', { class: 'edits' }, ...list)) : null;
}

// What each code gives alone, and the map of channel importances; null without them.
function makeContributions(image) {
  const parts = [];
  if (image.files.includes('codes.png')) {
    const list = Array.from({ length: DATA.codes }, (_, index) => {
      const node = makeElement('div', { role: 'img', 'aria-label': 'code ' + (index + 1) + ' alone' });
      node.style.aspectRatio = DATA.shape.join(' / ');
      node.style.backgroundImage = 'url("' + fileUrl(image, 'codes.png').replaceAll("'", '%27') + '")';
      node.style.backgroundSize = DATA.codes * 100 + '% 100%';
      node.style.backgroundPosition = (DATA.codes > 1 ? (100 * index) / (DATA.codes - 1) : 0) + '% 0';
      return makeElement('li', {}, node, 'code ' + (index + 1));
    });
    parts.push(makeElement('p', { class: 'hint' }, 'The image of each code alone: G2 of its feature maps, weighted by its channel importances.'), makeElement('ul', { class: 'codes' }, ...list));
  }
  if (image.files.includes('alpha.png')) {
    const map = makeElement('img', { class: 'heat', alt: 'channel importances of ' + image.name });
    map.addEventListener('error', () => map.remove());
    map.style.height = 0.9 * Math.min(40, DATA.codes) + 'rem';
    map.src = fileUrl(image, 'alpha.png');
    parts.push(makeElement('p', { class: 'hint' }, 'Channel importances: one row per code, one column per channel; red is positive, blue is negative.'), map);
  }
  return parts.length ? makeElement('section', {}, makeElement('h2', {}, 'Codes'), ...parts) : null;
}

// A dialog that shows a picture at any size. Escape closes it.
function showZoom(image, title) {
  const dialog = document.getElementById('zoom'), node = makeElement('img', { alt: title + ' of ' + image.name, draggable: 'false' });
  const pane = makeElement('div', { class: 'pane', tabindex: 0, 'aria-label': title + ', arrow keys move it' }, node), text = makeElement('span', { 'aria-live': 'polite' });
  let scale = 1;
  const setScale = (value) => {
    scale = Math.max(1 / 16, Math.min(32, value));
    node.style.width = node.naturalWidth * scale + 'px';
    node.classList.toggle('small', scale > 1);
    text.textContent = title + ' of ' + image.name + ', ' + node.naturalWidth + ' × ' + node.naturalHeight + ', ' + Math.round(100 * scale) + ' %';
  };
  const fit = () => setScale(Math.min((pane.clientWidth - 16) / node.naturalWidth, (pane.clientHeight - 16) / node.naturalHeight));
  const button = (label, name, onclick) => makeElement('button', { type: 'button', 'aria-label': name, onclick }, label);
  dialog.replaceChildren(makeElement('div', { class: 'tools' }, text, button('−', 'smaller', () => setScale(scale / 2)), button('+', 'larger', () => setScale(scale * 2)),
    button('fit', 'fit into the window', fit), button('1:1', 'actual size', () => setScale(1)), button('✕', 'close', () => dialog.close())), pane);
  dialog.onkeydown = (event) => { if (event.key === '+') setScale(scale * 2); else if (event.key === '-') setScale(scale / 2); else if (event.key === '0') fit(); };
  pane.addEventListener('wheel', (event) => { event.preventDefault(); setScale(scale * 1.2 ** -Math.sign(event.deltaY)); }, { passive: false });
  pane.addEventListener('pointermove', (event) => { if (event.buttons && event.pointerType === 'mouse') { pane.scrollLeft -= event.movementX; pane.scrollTop -= event.movementY; } });
  node.addEventListener('load', fit);
  node.addEventListener('error', () => { text.textContent = title + '.png was not found beside this page'; });
  node.src = fileUrl(image, title + '.png');
  dialog.showModal();
  pane.focus();
}
