// One image: its pictures large, its figures, its curve, and what its codes contribute.

function route(image) {
  return '#/' + encodeURIComponent(image.name);
}

function neighbours(image) {
  const list = chosen(), at = list.indexOf(image);
  return at < 0 ? [IMAGES[image.index - 1], IMAGES[image.index + 1]] : [list[at - 1], list[at + 1]];
}

function showImage(image) {
  const [before, after] = neighbours(image);
  const link = (to, text, key) => (to ? element('a', { href: route(to), rel: key, 'aria-keyshortcuts': key === 'prev' ? 'ArrowLeft' : 'ArrowRight' }, text) : element('span', { class: 'soft' }, text));
  const bar = element('div', { class: 'bar-of-view' }, element('a', { href: '#', id: 'back' }, 'All images'),
    element('h2', { tabindex: -1 }, image.name), link(before, '← Previous', 'prev'), link(after, 'Next →', 'next'));
  const failed = image.status === 'done' ? null : element('p', { class: 'failed' }, image.status);
  const parts = image.thumb || image.files.length ? [comparison(image), pictures(image), contributions(image), edits(image)] : [figures(image)];
  const curves = curveTiles(IMAGES, image);
  const drawn = curves.length ? element('section', {}, element('h2', {}, 'Curves'), element('div', { class: 'tiles wide' }, ...curves)) : null;
  document.getElementById('image-view').replaceChildren(bar, ...[failed, parts[0], parts[3], parts[1], drawn, parts[2]].filter((part) => part));
}

function comparison(image) {
  const holder = element('div', {}), other = image.files.includes('target.png') ? ['input', 'target'] : ['input'];
  const fill = (left) => holder.replaceChildren(slider(image, left, 'result', picture));
  fill('input');
  const choose = other.length > 1 ? element('label', { class: 'soft' }, 'compare with ', element('select', { onchange: (event) => fill(event.target.value) },
    ...other.map((title) => element('option', {}, title)))) : null;
  return element('div', { class: 'top' }, element('div', {}, holder, choose), figures(image));
}

function figures(image) {
  const rows = COLUMNS.filter((name) => valueOf(image, name) !== null).map((name) => {
    const all = IMAGES.map((other) => valueOf(other, name)).filter((value) => value !== null);
    const below = all.filter((value) => value < valueOf(image, name)).length;
    return element('tr', {}, element('th', { scope: 'row' }, label(name)), element('td', {}, shown(valueOf(image, name), name)),
      element('td', { class: 'soft' }, shown(summary(all).mean, name)), element('td', { class: 'soft' }, below + ' of ' + all.length));
  });
  if (!rows.length) return element('p', { class: 'soft' }, 'There are no figures of this image.');
  const head = ['', 'this image', 'mean of all', 'images below it'].map((text) => element('th', { scope: 'col' }, text));
  return element('table', {}, element('thead', {}, element('tr', {}, ...head)), element('tbody', {}, ...rows));
}

function pictures(image) {
  const found = ['input', 'result', 'inversion', 'target'].filter((title) => image.files.includes(title + '.png'));
  const list = found.map((title) => {
    const button = element('button', { type: 'button', 'aria-label': 'Enlarge: ' + title + ' of ' + image.name, onclick: () => zoom(image, title) }, picture(image, title));
    button.style.aspectRatio = DATA.shape.join(' / ');
    return element('figure', {}, button, element('figcaption', {}, title));
  });
  if (image.files.includes('history.webp')) list.push(movie(image, 'history', 'over the steps', 'how the result of ' + image.name + ' came about'));
  return element('section', {}, element('h2', {}, 'Pictures'), element('div', { class: 'pictures' }, ...list));
}

function movie(image, title, caption, alt) {
  const node = element('img', { class: 'movie', alt: alt });
  const figure = element('figure', {}, node, element('figcaption', {}, caption,
    ...(image.files.includes(title + '.mp4') ? [' (', element('a', { href: place(image, title + '.mp4') }, 'video'), ')'] : [])));
  node.style.aspectRatio = DATA.shape.join(' / ');
  node.addEventListener('error', () => figure.remove());
  node.addEventListener('load', () => node.classList.toggle('small', node.naturalWidth < 128));
  node.src = place(image, title + '.webp');
  return figure;
}

function edits(image) {
  const list = [];
  if (image.files.includes('edit.png')) {
    const strip = element('img', { class: 'strip', alt: 'edits of ' + image.name + ' from the least strength to the greatest' });
    const figure = element('figure', { class: 'sheet' }, strip, element('figcaption', {}, 'strengths from left to right'));
    strip.addEventListener('error', () => figure.remove());
    strip.src = place(image, 'edit.png');
    list.push(figure);
  }
  if (image.files.includes('edit.webp')) list.push(movie(image, 'edit', 'each attribute there and back', 'the edits of ' + image.name + ' as an animation'));
  return list.length ? element('section', {}, element('h2', {}, 'Edits'), element('div', { class: 'edits' }, ...list)) : null;
}

function contributions(image) {
  const parts = [];
  if (image.files.includes('codes.png')) {
    const list = Array.from({ length: DATA.codes }, (_, index) => {
      const node = element('div', { role: 'img', 'aria-label': 'code ' + (index + 1) + ' alone' });
      node.style.aspectRatio = DATA.shape.join(' / ');
      node.style.backgroundImage = 'url("' + place(image, 'codes.png').replaceAll("'", '%27') + '")';
      node.style.backgroundSize = DATA.codes * 100 + '% 100%';
      node.style.backgroundPosition = (DATA.codes > 1 ? (100 * index) / (DATA.codes - 1) : 0) + '% 0';
      return element('li', {}, node, 'code ' + (index + 1));
    });
    parts.push(element('p', { class: 'hint' }, 'What each code alone gives: G2 of its features, weighted by its channel importances.'), element('ul', { class: 'codes' }, ...list));
  }
  if (image.files.includes('alpha.png')) {
    const map = element('img', { class: 'heat', alt: 'channel importances of ' + image.name });
    map.addEventListener('error', () => map.remove());
    map.style.height = 0.9 * Math.min(40, DATA.codes) + 'rem';
    map.src = place(image, 'alpha.png');
    parts.push(element('p', { class: 'hint' }, 'Channel importances: a row for each code, a column for each channel; red above 0, blue below.'), map);
  }
  return parts.length ? element('section', {}, element('h2', {}, 'Codes'), ...parts) : null;
}

// The picture at any size, in a dialog that Escape closes.
function zoom(image, title) {
  const dialog = document.getElementById('zoom'), node = element('img', { alt: title + ' of ' + image.name, draggable: 'false' });
  const pane = element('div', { class: 'pane', tabindex: 0, 'aria-label': title + ', arrow keys move it' }, node), told = element('span', { 'aria-live': 'polite' });
  let scale = 1;
  const set = (next) => {
    scale = Math.max(1 / 16, Math.min(32, next));
    node.style.width = node.naturalWidth * scale + 'px';
    node.classList.toggle('small', scale > 1);
    told.textContent = title + ' of ' + image.name + ', ' + node.naturalWidth + ' × ' + node.naturalHeight + ', ' + Math.round(100 * scale) + ' %';
  };
  const fit = () => set(Math.min((pane.clientWidth - 16) / node.naturalWidth, (pane.clientHeight - 16) / node.naturalHeight));
  const button = (text, name, act) => element('button', { type: 'button', 'aria-label': name, onclick: act }, text);
  dialog.replaceChildren(element('div', { class: 'tools' }, told, button('−', 'smaller', () => set(scale / 2)), button('+', 'larger', () => set(scale * 2)),
    button('fit', 'fit into the window', fit), button('1:1', 'one pixel a pixel', () => set(1)), button('✕', 'close', () => dialog.close())), pane);
  dialog.onkeydown = (event) => { if (event.key === '+') set(scale * 2); else if (event.key === '-') set(scale / 2); else if (event.key === '0') fit(); };
  pane.addEventListener('wheel', (event) => { event.preventDefault(); set(scale * 1.2 ** -Math.sign(event.deltaY)); }, { passive: false });
  pane.addEventListener('pointermove', (event) => { if (event.buttons && event.pointerType === 'mouse') { pane.scrollLeft -= event.movementX; pane.scrollTop -= event.movementY; } });
  node.addEventListener('load', fit);
  node.addEventListener('error', () => { told.textContent = title + '.png is not beside this page'; });
  node.src = place(image, title + '.png');
  dialog.showModal();
  pane.focus();
}
