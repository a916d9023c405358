// What charts share: shapes, scales and axes.

const SHAPES = [
  'M0-5A5 5 0 1 1 0 5A5 5 0 1 1 0-5Z',
  'M-4.5-4.5H4.5V4.5H-4.5Z',
  'M0-5.8L5.4 4.2H-5.4Z',
  'M0-6L6 0L0 6L-6 0Z',
  'M0 5.8L5.4-4.2H-5.4Z',
  'M-1.8-5.4H1.8V-1.8H5.4V1.8H1.8V5.4H-1.8V1.8H-5.4V-1.8H-1.8Z',
  'M0-6L1.7-1.9L5.9-1.6L2.7 1.2L3.7 5.4L0 3.1L-3.7 5.4L-2.7 1.2L-5.9-1.6L-1.7-1.9Z',
  'M-3-5.2H3L6 0L3 5.2H-3L-6 0Z',
];
const HOLLOW = 'M0-4.5A4.5 4.5 0 1 1 0 4.5A4.5 4.5 0 1 1 0-4.5Z';
const DASHES = ['', '7 3', '2 3', '10 3 2 3', '4 2', '1 3', '12 4', '6 2 2 2'];

const colorOf = (style) => (style < 0 ? 'var(--muted)' : `var(--method-${style % 8})`);
const shapeOf = (style) => (style < 0 ? HOLLOW : SHAPES[style % 8]);
// Colors come again after eight, then hollow.
const isHollow = (style) => style < 0 || style >= 8;

function shape(style, x, y, size = 1) {
  const color = colorOf(style);
  return svg('path', {
    d: shapeOf(style), transform: `translate(${x} ${y}) scale(${size})`,
    fill: isHollow(style) ? 'var(--surface)' : color, stroke: isHollow(style) ? color : 'var(--surface)', 'stroke-width': isHollow(style) ? 2 : 1,
  });
}

/** A method's shape, as it stands beside its name. */
function marker(style) {
  return svg('svg', { class: 'marker', viewBox: '-8 -8 16 16', width: 14, height: 14, 'aria-hidden': 'true' }, shape(style, 0, 0));
}

/** Round numbers from `low` to `high`. */
function ticks(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= rough * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) found.push(i * step + 0);
  return found;
}

/** A range with some air, which shares don't leave, around what is bounded. */
function airy(all, unit) {
  const ends = all.filter(isBounded);
  const [low, high] = ends.length ? [Math.min(...ends), Math.max(...ends)] : [0, 1];
  const air = Math.max((high - low) * 0.08, unit === 'share' ? 0.02 : Math.abs(high) * 0.05, 1e-9);
  const open = [low - air, high + air];
  if (unit !== 'share') return open;
  return [Math.max(low < 0 ? -1 : 0, open[0]), Math.min(1.03, open[1])];
}

/** From one range to another; what is infinite lies at the edge. */
const scale = (from, to) => (value) => {
  const at = isBounded(value) ? value : from[value > 0 ? 1 : 0];
  return to[0] + ((at - from[0]) / (from[1] - from[0])) * (to[1] - to[0]);
};

/** How far along a range a number lies, as a length of CSS. */
const along = ([low, high], value) => `${100 * Math.min(1, Math.max(0, (value - low) / (high - low)))}%`;

/** A number at an axis: as short as it can be. */
function tickText(value, unit) {
  if (unit === 'share') return String(Number((100 * value).toFixed(6)));
  return String(Number(value.toPrecision(6))).replace('-', '−');
}

/** What stands at an axis: the metric, its unit and which way is better. */
function axisText(i) {
  const { unit, better } = metrics[i];
  return `${nameOf(i)}${UNITS[unit] ? `, ${UNITS[unit]}` : ''}${better === 'higher' ? '' : ' (less is better)'}`;
}

/** The mesh of a chart, with numbers and names. */
function mesh({ left, right, top, bottom }, x, y) {
  const across = x.ticks.map(([at, text]) => [
    svg('line', { x1: at, x2: at, y1: top, y2: bottom, class: 'mesh' }),
    svg('text', { x: at, y: bottom + 18, 'text-anchor': 'middle', class: 'tick' }, text)]);
  const up = y.ticks.map(([at, text]) => [
    svg('line', { x1: left, x2: right, y1: at, y2: at, class: 'mesh' }),
    svg('text', { x: left - 8, y: at + 4, 'text-anchor': 'end', class: 'tick' }, text)]);
  return svg('g', { 'aria-hidden': 'true' }, across.flat(), up.flat(),
    svg('path', { d: `M${left} ${top}V${bottom}H${right}`, class: 'axis-line' }),
    svg('text', { x: (left + right) / 2, y: bottom + 40, 'text-anchor': 'middle', class: 'axis-name' }, x.name),
    svg('text', { x: left - 34, y: top - 14, class: 'axis-name' }, y.name));
}

/** Draws again where the width of `node` changes. */
function onWidth(node, draw) {
  let width = 0;
  new ResizeObserver(() => {
    const now = Math.round(node.clientWidth);
    if (now && now !== width) { width = now; draw(); }
  }).observe(node);
}

const pen = document.createElement('canvas').getContext('2d');

/** The width of a text in a chart. */
function textWidth(text) {
  pen.font = `500 12.5px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(text).width;
}

