// Histograms and curves as SVG.

function quantile(sorted, share) {
  const at = share * (sorted.length - 1), low = Math.floor(at);
  return sorted[low] + (sorted[Math.ceil(at)] - sorted[low]) * (at - low);
}

function summary(values) {
  const sorted = Float64Array.from(values).sort();
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  const square = sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / sorted.length;
  return { sorted, mean, deviation: Math.sqrt(square), median: quantile(sorted, 0.5), low: sorted[0], high: sorted.at(-1) };
}

function histogram(column, values, pick, mark = null) {
  const told = summary(values), count = Math.max(1, Math.min(24, Math.ceil(Math.sqrt(values.length) * 1.5)));
  const width = (told.high - told.low) / count || 1, bins = new Array(told.high > told.low ? count : 1).fill(0);
  for (const value of values) bins[Math.min(bins.length - 1, Math.floor((value - told.low) / width))]++;
  const most = Math.max(...bins), each = 260 / bins.length;
  const drawing = shape('svg', { viewBox: '0 0 260 92', role: 'group', 'aria-label': 'Histogram of ' + label(column) });
  bins.forEach((bin, index) => {
    if (!bin) return;
    const from = told.low + index * width, to = bins.length > 1 ? from + width : told.high, height = Math.max(2, (70 * bin) / most);
    const text = bin + (bin === 1 ? ' image' : ' images') + ' from ' + shown(from, column) + ' to ' + shown(to, column);
    const act = () => pick(column, from, index === bins.length - 1 ? told.high : to);
    drawing.append(shape('rect', {
      class: 'bar', x: index * each + 0.5, y: 72 - height, width: Math.max(1, Math.min(each - 1, 40)), height, tabindex: 0, role: 'button',
      'aria-label': text, onclick: act, onkeydown: (event) => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); act(); } },
    }, shape('title', {}, text)));
  });
  if (mark !== null && told.high > told.low) {
    const x = (260 * (mark - told.low)) / (told.high - told.low);
    drawing.append(shape('line', { class: 'mark', x1: x, x2: x, y1: 0, y2: 74 }));
  }
  drawing.append(shape('line', { class: 'axis', x1: 0, x2: 260, y1: 72.5, y2: 72.5 }), shape('text', { x: 0, y: 88 }, shown(told.low, column)));
  if (told.high > told.low) drawing.append(shape('text', { x: 260, y: 88, 'text-anchor': 'end' }, shown(told.high, column)));
  return element('div', { class: 'tile' }, element('h3', {}, label(column)),
    element('p', {}, 'mean ' + shown(told.mean, column) + ' ± ' + shown(told.deviation, column, told.mean) + ', median ' + shown(told.median, column)), drawing);
}

// Mean and the middle 80 % at each step, of the images that were still on their way.
function band(images, name, steps) {
  return steps.map((step, index) => {
    const values = images.map((image) => image[name][index]).filter((value) => value !== null && value !== undefined);
    if (!values.length) return null;
    const told = summary(values);
    return { step, mean: told.mean, low: quantile(told.sorted, 0.1), high: quantile(told.sorted, 0.9), count: values.length };
  }).filter((point) => point !== null);
}

function ticks(low, high, log) {
  if (log && high / low >= 10) {
    const found = [];
    for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); power++) found.push(10 ** power);
    return found;
  }
  const raw = (high - low) / 4 || 1, unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((candidate) => candidate >= raw), found = [];
  for (let index = Math.ceil(low / step); index * step <= high + 1e-12; index++) found.push(index * step);
  return found;
}

function short(value) {
  return String(Number(value.toPrecision(3)));
}

function chart(title, points, own, log) {
  const left = 52, right = 410, top = 8, bottom = 176, all = own ? [...points.flatMap((p) => [p.low, p.high]), ...own.map((p) => p.mean)]
    : points.flatMap((p) => [p.low, p.high, p.mean]);
  const useLog = log && all.every((value) => value > 0), change = useLog ? Math.log10 : (value) => value;
  let low = Math.min(...all), high = Math.max(...all);
  if (low === high) { low -= Math.abs(low) / 10 || 1; high += Math.abs(high) / 10 || 1; }
  const last = Math.max(...points.map((p) => p.step), ...(own || []).map((p) => p.step), 1);
  const x = (step) => left + ((right - left) * step) / last;
  const y = (value) => bottom - ((bottom - top) * (change(value) - change(low))) / (change(high) - change(low) || 1);
  const path = (list, read) => list.map((p, index) => (index ? 'L' : 'M') + x(p.step).toFixed(1) + ' ' + y(read(p)).toFixed(1)).join('');
  const drawing = shape('svg', { viewBox: '0 0 420 205', role: 'img', 'aria-label': title + ' over the steps' });
  for (const tick of ticks(low, high, useLog)) {
    drawing.append(shape('line', { class: 'axis', x1: left, x2: right, y1: y(tick), y2: y(tick) }), shape('text', { x: left - 6, y: y(tick) + 4, 'text-anchor': 'end' }, short(tick)));
  }
  for (const tick of ticks(0, last, false)) drawing.append(shape('text', { x: x(tick), y: bottom + 18, 'text-anchor': 'middle' }, short(tick)));
  const back = [...points].reverse();
  if (points.length > 1) drawing.append(shape('path', { class: 'band', d: path(points, (p) => p.high) + path(back, (p) => p.low).replace('M', 'L') + 'Z' }));
  drawing.append(shape('path', { class: 'mean', d: path(points, (p) => p.mean) }));
  if (own) drawing.append(shape('path', { class: 'own', d: path(own, (p) => p.mean) }));
  const cursor = shape('line', { class: 'axis', y1: top, y2: bottom, visibility: 'hidden' }), told = element('p', {});
  const readout = (at) => {
    const point = points.reduce((best, p) => (Math.abs(p.step - at) < Math.abs(best.step - at) ? p : best));
    const mine = own && own.find((p) => p.step === point.step);
    told.textContent = 'step ' + point.step + ': ' + (mine ? 'this image ' + short(mine.mean) + ', ' : '') + 'mean ' + short(point.mean) + ', band ' + short(point.low) + ' to ' + short(point.high);
    cursor.setAttribute('x1', x(point.step)); cursor.setAttribute('x2', x(point.step)); cursor.setAttribute('visibility', 'visible');
  };
  drawing.append(cursor);
  drawing.addEventListener('pointermove', (event) => {
    const box = drawing.getBoundingClientRect();
    readout((last * (((event.clientX - box.left) / box.width) * 420 - left)) / (right - left));
  });
  readout(last);
  cursor.setAttribute('visibility', 'hidden');
  const key = own ? element('p', {}, element('span', { class: 'key own' }), 'this image  ', element('span', { class: 'key' }), 'mean of all, with the middle 80 %') : null;
  return element('div', { class: 'tile' }, element('h3', {}, title + (useLog ? ' (logarithmic)' : '')), key, drawing, told);
}

function curveTiles(images, image = null) {
  const tiles = [];
  for (const [name, title, steps, log] of [['loss', 'Loss', DATA.loss_steps, true], ['psnr', 'PSNR (dB)', DATA.psnr_steps, false]]) {
    const points = band(images, name, steps);
    const own = image && steps.map((step, index) => ({ step, mean: image[name][index] })).filter((p) => p.mean !== null && p.mean !== undefined);
    if (points.length && !(image && !own.length)) tiles.push(chart(title, points, own, log));
  }
  return tiles;
}
