// The trade-off: two metrics against each other.

const everyMetric = metrics.map((_, i) => i).filter((i) => rows.some((row) => scoreOf(row, i)));
const hasMetric = (name) => everyMetric.includes(metricAt(name));
const firstOf = (names, otherwise) => {
  const name = names.find(hasMetric);
  return name === undefined ? otherwise : metricAt(name);
};
const EFFICACY = ['rewrite.free.exact', 'rewrite.free.begins', 'rewrite.tf.token', 'rewrite.prefer'];
const LOCALITY = ['neighbor.same.free', 'unrelated.same.free', 'same-subject.same.free', 'neighbor.same.token', 'unrelated.same.token', 'neighbor.prefer'];

const plotSetting = select('plot-setting', 'plot', 'setting', [...settings.map((s) => [s, s]), ...(settings.length > 1 ? [['*', 'all']] : [])]);
const plotY = selectMetric('plot-y', 'plot', 'y', everyMetric, firstOf(EFFICACY, everyMetric[0]));
const plotX = selectMetric('plot-x', 'plot', 'x', everyMetric, firstOf(LOCALITY, everyMetric.at(-1)));

/** The edited points that none beats at both, from left to right. */
function front(points, x, y) {
  const beaten = (a) => points.some((b) => b !== a
    && !beats(x, a.x[0], b.x[0]) && !beats(y, a.y[0], b.y[0])
    && (beats(x, b.x[0], a.x[0]) || beats(y, b.y[0], a.y[0])));
  return points.filter((a) => !a.row.unedited && !beaten(a)).sort((a, b) => a.x[0] - b.x[0]);
}

function plotPoints(x, y) {
  const setting = plotSetting.value();
  const of = rows.filter((row) => (setting === '*' || row.setting === setting) && scoreOf(row, x) && scoreOf(row, y));
  return of.map((row) => ({
    row, x: scoreOf(row, x), y: scoreOf(row, y),
    label: setting === '*' ? `${row.label}, ${row.setting}` : row.label,
  }));
}

const endsOf = (points, key) => points.flatMap((point) => point[key].slice(0, 3)).filter(isNumber);

function drawPlot(node, points, x, y) {
  const width = Math.max(280, node.clientWidth);
  const height = Math.round(Math.min(520, Math.max(340, width * 0.56)));
  const frame = { left: 46, right: width - 16, top: 40, bottom: height - 54 };
  const rangeX = airy(endsOf(points, 'x'), metrics[x].unit);
  const rangeY = airy(endsOf(points, 'y'), metrics[y].unit);
  const toX = scale(rangeX, [frame.left, frame.right]);
  const toY = scale(rangeY, [frame.bottom, frame.top]);
  const numbers = (range, to, most, unit) => ticks(...range, most)
    .filter((value) => unit !== 'share' || value <= 1.0001).map((value) => [to(value), tickText(value, unit)]);
  const chart = svg('svg', { viewBox: `0 0 ${width} ${height}`, width, height, role: 'group', 'aria-label': `${nameOf(y)} against ${nameOf(x)}` });
  chart.append(mesh(frame,
    { name: `${axisText(x)} →`, ticks: numbers(rangeX, toX, Math.min(8, width / 90), metrics[x].unit) },
    { name: `↑ ${axisText(y)}`, ticks: numbers(rangeY, toY, 6, metrics[y].unit) }));
  const edge = front(points.filter(({ row }) => !row.unedited), x, y);
  if (edge.length) chart.append(svg('path', { class: 'front', d: stairs(edge, x, y, toX, toY, frame) }));
  const placed = points.map((point) => ({ ...point, at: { x: toX(point.x[0]), y: toY(point.y[0]), width: textWidth(point.label) + 4 } }));
  const bars = placed.flatMap(({ x: sx, y: sy, at }) => [
    isNumber(sx[1]) && isNumber(sx[2]) && { left: toX(sx[1]), right: toX(sx[2]), top: at.y - 1, bottom: at.y + 1 },
    isNumber(sy[1]) && isNumber(sy[2]) && { left: at.x - 1, right: at.x + 1, top: toY(sy[2]), bottom: toY(sy[1]) },
  ]);
  const boxes = placeLabels(placed.map(({ at }) => at), bars.filter(Boolean), { left: frame.left + 2, right: width - 2, top: frame.top - 8, bottom: frame.bottom - 2 });
  placed.forEach(({ row }, i) => chart.append(errorBars(bars.slice(2 * i, 2 * i + 2), styleOf(row))));
  placed.forEach((point, i) => chart.append(plotPoint(point, boxes[i], x, y)));
  return { chart, unlabeled: placed.filter((_, i) => !boxes[i]) };
}

/** The edge of what is reached: stairs from the worst of one axis to the worst of the other. */
function stairs(edge, x, y, toX, toY, frame) {
  const [moreX, moreY] = [x, y].map((i) => metrics[i].better === 'higher');
  // From the worst to the best across: what is beyond a point is reached by the next one alone.
  const order = moreX ? edge : edge.toReversed();
  let path = `M${moreX ? frame.left : frame.right} ${toY(order[0].y[0])}`;
  order.forEach((point) => { path += `V${toY(point.y[0])}H${toX(point.x[0])}`; });
  return `${path}V${moreY ? frame.bottom : frame.top}`;
}

function errorBars(bars, style) {
  const lines = bars.filter(Boolean).map(({ left, right, top, bottom }) => {
    const flat = right - left > bottom - top || bottom - top <= 2;
    const [cx, cy] = [(left + right) / 2, (top + bottom) / 2];
    return svg('path', { d: flat
      ? `M${left} ${cy}H${right}M${left} ${cy - 3}v6M${right} ${cy - 3}v6`
      : `M${cx} ${top}V${bottom}M${cx - 3} ${top}h6M${cx - 3} ${bottom}h6` });
  });
  return svg('g', { class: 'error-bars', stroke: colorOf(style), 'aria-hidden': 'true' }, lines);
}

function plotPoint({ row, label, x: sx, y: sy, at }, placed, x, y) {
  const say = (i, score) => `${nameOf(i)} ${withUnit(shown(score[0], metrics[i].unit), metrics[i].unit)} [${interval(score, metrics[i].unit)}], n ${score[3]}`;
  const text = `${label}: ${say(y, sy)}; ${say(x, sx)}. Go to its row.`;
  const index = rows.indexOf(row);
  const link = svg('a', { href: `#row-${index}`, class: 'point', 'aria-label': text, tabindex: 0,
    onclick: (event) => { event.preventDefault(); goToRow(index); } },
  svg('title', {}, text), svg('circle', { cx: at.x, cy: at.y, r: 14, class: 'halo' }), shape(styleOf(row), at.x, at.y, 1.15));
  if (placed) {
    const { box, away } = placed;
    const [cx, cy] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
    const near = { x: Math.min(Math.max(at.x, box.left), box.right), y: Math.min(Math.max(at.y, box.top), box.bottom) };
    if (away > 16) link.append(svg('line', { x1: at.x, y1: at.y, x2: near.x, y2: near.y, class: 'leader' }));
    link.append(svg('text', { x: cx, y: cy + 4.5, 'text-anchor': 'middle', class: 'point-label' }, label));
  }
  return link;
}

part('plot', () => {
  const node = byId('plot');
  const [x, y] = [plotX(), plotY()];
  const points = x === undefined || y === undefined ? [] : plotPoints(x, y);
  if (!points.length) { node.replaceChildren(nothing('No row has both metrics under this setting.')); return; }
  const { chart, unlabeled } = drawPlot(node, points, x, y);
  const crowded = unlabeled.map(({ row, label }) => el('li', {}, marker(styleOf(row)), label));
  node.replaceChildren(chart, el('figcaption', {},
    'Hollow: the model without an edit. Each point leads to its row of the leaderboard.',
    crowded.length > 0 && el('ul', { class: 'legend', 'aria-label': 'Without room for a label' }, crowded)));
});

