// Histograms and curves as SVG elements.

// A quantile of sorted values with linear interpolation. share: 0 to 1.
function quantile(sorted, share) {
  const position = share * (sorted.length - 1), low = Math.floor(position);
  return sorted[low] + (sorted[Math.ceil(position)] - sorted[low]) * (position - low);
}

// Mean, standard deviation, median and range of values.
function summarize(values) {
  const sorted = Float64Array.from(values).sort();
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  const square = sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / sorted.length;
  return { sorted, mean, deviation: Math.sqrt(square), median: quantile(sorted, 0.5), low: sorted[0], high: sorted.at(-1) };
}

// A histogram of a column. onSelect(column, low, high): a bar was clicked.
function makeHistogram(column, values, onSelect) {
  const stats = summarize(values), count = Math.max(1, Math.min(24, Math.ceil(Math.sqrt(values.length) * 1.5)));
  const width = (stats.high - stats.low) / count || 1, bins = new Array(stats.high > stats.low ? count : 1).fill(0);
  for (const value of values) bins[Math.min(bins.length - 1, Math.floor((value - stats.low) / width))]++;
  const most = Math.max(...bins), each = 260 / bins.length;
  const drawing = makeSvgElement('svg', { viewBox: '0 0 260 92', role: 'group', 'aria-label': 'Histogram of ' + columnLabel(column) });
  bins.forEach((bin, index) => {
    if (!bin) return;
    const from = stats.low + index * width, to = bins.length > 1 ? from + width : stats.high, height = Math.max(2, (70 * bin) / most);
    const text = bin + (bin === 1 ? ' image' : ' images') + ' from ' + formatValue(from, column) + ' to ' + formatValue(to, column);
    const select = () => onSelect(column, from, index === bins.length - 1 ? stats.high : to);
    drawing.append(makeSvgElement('rect', {
      class: 'bar', x: index * each + 0.5, y: 72 - height, width: Math.max(1, Math.min(each - 1, 40)), height, tabindex: 0, role: 'button',
      'aria-label': text, onclick: select, onkeydown: (event) => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); select(); } },
    }, makeSvgElement('title', {}, text)));
  });
  drawing.append(makeSvgElement('line', { class: 'axis', x1: 0, x2: 260, y1: 72.5, y2: 72.5 }), makeSvgElement('text', { x: 0, y: 88 }, formatValue(stats.low, column)));
  if (stats.high > stats.low) drawing.append(makeSvgElement('text', { x: 260, y: 88, 'text-anchor': 'end' }, formatValue(stats.high, column)));
  return makeElement('div', { class: 'tile' }, makeElement('h3', {}, columnLabel(column)),
    makeElement('p', {}, 'mean ' + formatValue(stats.mean, column) + ' ± ' + formatValue(stats.deviation, column, stats.mean) + ', median ' + formatValue(stats.median, column)), drawing);
}

// Mean, 10th and 90th percentile at each step, over the images that have a value there.
function curveBand(images, name, steps) {
  return steps.map((step, index) => {
    const values = images.map((image) => image[name][index]).filter((value) => value !== null && value !== undefined);
    if (!values.length) return null;
    const stats = summarize(values);
    return { step, mean: stats.mean, low: quantile(stats.sorted, 0.1), high: quantile(stats.sorted, 0.9), count: values.length };
  }).filter((point) => point !== null);
}

// Round values between low and high; powers of ten on a logarithmic axis.
function axisTicks(low, high, log) {
  if (log && high / low >= 10) {
    const powers = [];
    for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); power++) powers.push(10 ** power);
    return powers;
  }
  const raw = (high - low) / 4 || 1, unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((candidate) => candidate >= raw), values = [];
  for (let index = Math.ceil(low / step); index * step <= high + 1e-12; index++) values.push(index * step);
  return values;
}

// A number with three digits.
function formatShort(value) {
  return String(Number(value.toPrecision(3)));
}

// A chart of curveBand points. own: points of one image, or null. The axis is logarithmic if `log` and all values are positive.
function makeChart(title, points, own, log) {
  const left = 52, right = 410, top = 8, bottom = 176, all = own ? [...points.flatMap((p) => [p.low, p.high]), ...own.map((p) => p.mean)]
    : points.flatMap((p) => [p.low, p.high, p.mean]);
  const useLog = log && all.every((value) => value > 0), change = useLog ? Math.log10 : (value) => value;
  let low = Math.min(...all), high = Math.max(...all);
  if (low === high) { low -= Math.abs(low) / 10 || 1; high += Math.abs(high) / 10 || 1; }
  const last = Math.max(...points.map((p) => p.step), ...(own || []).map((p) => p.step), 1);
  const x = (step) => left + ((right - left) * step) / last;
  const y = (value) => bottom - ((bottom - top) * (change(value) - change(low))) / (change(high) - change(low) || 1);
  const path = (list, read) => list.map((p, index) => (index ? 'L' : 'M') + x(p.step).toFixed(1) + ' ' + y(read(p)).toFixed(1)).join('');
  const drawing = makeSvgElement('svg', { viewBox: '0 0 420 205', role: 'img', 'aria-label': title + ' over the steps' });
  for (const tick of axisTicks(low, high, useLog)) {
    drawing.append(makeSvgElement('line', { class: 'axis', x1: left, x2: right, y1: y(tick), y2: y(tick) }), makeSvgElement('text', { x: left - 6, y: y(tick) + 4, 'text-anchor': 'end' }, formatShort(tick)));
  }
  for (const tick of axisTicks(0, last, false)) drawing.append(makeSvgElement('text', { x: x(tick), y: bottom + 18, 'text-anchor': 'middle' }, formatShort(tick)));
  const back = [...points].reverse();
  if (points.length > 1) drawing.append(makeSvgElement('path', { class: 'band', d: path(points, (p) => p.high) + path(back, (p) => p.low).replace('M', 'L') + 'Z' }));
  drawing.append(makeSvgElement('path', { class: 'mean', d: path(points, (p) => p.mean) }));
  if (own) drawing.append(makeSvgElement('path', { class: 'own', d: path(own, (p) => p.mean) }));
  const cursor = makeSvgElement('line', { class: 'axis', y1: top, y2: bottom, visibility: 'hidden' }), text = makeElement('p', {});
  const showStep = (step) => {
    const point = points.reduce((best, p) => (Math.abs(p.step - step) < Math.abs(best.step - step) ? p : best));
    const ownPoint = own && own.find((p) => p.step === point.step);
    text.textContent = 'step ' + point.step + ': ' + (ownPoint ? 'this image ' + formatShort(ownPoint.mean) + ', ' : '') + 'mean ' + formatShort(point.mean) + ', band ' + formatShort(point.low) + ' to ' + formatShort(point.high);
    cursor.setAttribute('x1', x(point.step)); cursor.setAttribute('x2', x(point.step)); cursor.setAttribute('visibility', 'visible');
  };
  drawing.append(cursor);
  drawing.addEventListener('pointermove', (event) => {
    const box = drawing.getBoundingClientRect();
    showStep((last * (((event.clientX - box.left) / box.width) * 420 - left)) / (right - left));
  });
  showStep(last);
  cursor.setAttribute('visibility', 'hidden');
  const key = own ? makeElement('p', {}, makeElement('span', { class: 'key own' }), 'this image  ', makeElement('span', { class: 'key' }), 'mean of all images; band: 10th to 90th percentile') : null;
  return makeElement('div', { class: 'tile' }, makeElement('h3', {}, title + (useLog ? ' (logarithmic)' : '')), key, drawing, text);
}

// Charts of loss and PSNR over all images; if `image` is given, with its own curve.
function makeCurveTiles(images, image = null) {
  const tiles = [];
  for (const [name, title, steps, log] of [['loss', 'Loss', DATA.loss_steps, true], ['psnr', 'PSNR (dB)', DATA.psnr_steps, false]]) {
    const points = curveBand(images, name, steps);
    const own = image && steps.map((step, index) => ({ step, mean: image[name][index] })).filter((p) => p.mean !== null && p.mean !== undefined);
    if (points.length && !(image && !own.length)) tiles.push(makeChart(title, points, own, log));
  }
  return tiles;
}
