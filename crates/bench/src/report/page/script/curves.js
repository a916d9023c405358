// Lifelong editing: a metric after more and more edits.

const withCurve = rows.filter((row) => row.curve.length);
const curveMetrics = everyMetric.filter((i) => withCurve.some((row) => row.curve.some(([, scores]) => isNumber(scores[i]?.[0]))));
const curveMetric = selectMetric('curve-metric', 'curve', 'metric', curveMetrics,
  curveMetrics.includes(firstOf(EFFICACY)) ? firstOf(EFFICACY) : curveMetrics[0]);
const curveScale = select('curve-scale', 'curve', 'scale', [['', 'linear'], ['log', 'logarithmic']]);

/** A row's points that have the metric. */
const curveOf = (row, metric) => row.curve.map(([edits, scores]) => ({ edits, score: scores[metric] })).filter(({ score }) => isNumber(score?.[0]));

function curveTicks(low, high, log, most) {
  if (!log) return ticks(low, high, most).filter((value) => Number.isInteger(value));
  const found = [];
  for (let power = 1; power <= high * 1.001; power *= 10) {
    for (const factor of [1, 2, 5]) if (power * factor >= low * 0.999 && power * factor <= high * 1.001) found.push(power * factor);
  }
  return found.length > most ? found.filter((value) => /^1/.test(String(value))) : found;
}

/** Names at the ends of lines, moved apart. */
function spread(names, top, bottom) {
  const gap = 17;
  const order = [...names].sort((a, b) => a.y - b.y);
  order.forEach((name, i) => { name.y = Math.max(name.y, i ? order[i - 1].y + gap : top); });
  let limit = bottom;
  for (const name of order.toReversed()) { name.y = Math.min(name.y, limit); limit = name.y - gap; }
  return order;
}

function drawCurves(width, of, metric, log) {
  const { unit } = metrics[metric];
  const lines = of.map((row) => ({ row, points: curveOf(row, metric) })).filter(({ points }) => points.length);
  const names = lines.map(({ row }) => textWidth(row.label));
  const inside = width >= 560;
  const frame = { left: 46, right: inside ? width - Math.max(...names) - 40 : width - 14, top: 40, bottom: 320 };
  const edits = lines.flatMap(({ points }) => points.map((point) => point.edits));
  const [low, high] = [log ? Math.max(1, Math.min(...edits)) : Math.min(0, ...edits), Math.max(...edits)];
  const range = airy(lines.flatMap(({ points }) => points.flatMap(({ score }) => score.slice(0, 3))).filter(isNumber), unit);
  const way = log ? Math.log : (value) => value;
  const toX = (value) => scale([way(low), way(high > low ? high : low + 1)], [frame.left, frame.right])(way(Math.max(value, low)));
  const toY = scale(range, [frame.bottom, frame.top]);
  const chart = svg('svg', { viewBox: `0 0 ${width} 374`, width, height: 374, role: 'img', 'aria-label': `${nameOf(metric)} after so many edits; the same numbers are in the table below` });
  chart.append(mesh(frame,
    { name: `edits${log ? ', logarithmic' : ''} →`, ticks: curveTicks(low, high, log, width / 70).map((value) => [toX(value), grouped(value)]) },
    { name: `↑ ${axisText(metric)}`, ticks: ticks(...range, 6).filter((value) => unit !== 'share' || value <= 1.0001).map((value) => [toY(value), tickText(value, unit)]) }));
  const at = (values) => values.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join('L');
  for (const { row, points } of lines) {
    const ends = points.filter(({ score }) => isNumber(score[1]) && isNumber(score[2]));
    const [above, below] = [2, 1].map((end) => ends.map(({ edits, score }) => [toX(edits), toY(score[end])]));
    if (ends.length > 1) chart.append(svg('path', { class: 'band', fill: colorOf(styleOf(row)), d: `M${at([...above, ...below.reverse()])}Z` }));
  }
  for (const { row, points } of lines) {
    const style = styleOf(row);
    chart.append(svg('path', { class: 'curve', stroke: colorOf(style), 'stroke-dasharray': style < 0 ? '2 4' : DASHES[Math.floor(style / 4) % 8],
      d: `M${at(points.map(({ edits, score }) => [toX(edits), toY(score[0])]))}` }));
    points.forEach(({ edits, score }) => {
      const dot = shape(style, toX(edits), toY(score[0]), 0.8);
      dot.append(svg('title', {}, `${row.label}, ${plural(edits, 'edit')}: ${withUnit(shown(score[0], unit), unit)} [${interval(score, unit)}], n ${score[3]}`));
      chart.append(dot);
    });
  }
  if (inside) {
    const named = lines.map(({ row, points }) => ({ row, from: toY(points.at(-1).score[0]), y: toY(points.at(-1).score[0]), x: toX(points.at(-1).edits) }));
    for (const { row, from, y, x } of spread(named, frame.top, frame.bottom)) {
      chart.append(svg('path', { class: 'leader', d: `M${x + 7} ${from}L${frame.right + 20} ${y}` }),
        svg('text', { x: frame.right + 24, y: y + 4, class: 'point-label' }, row.label));
    }
  }
  const legend = !inside && el('ul', { class: 'legend' }, lines.map(({ row }) => el('li', {}, marker(styleOf(row)), row.label)));
  return [chart, legend, curveTable(lines, metric)];
}

function curveTable(lines, metric) {
  const { unit } = metrics[metric];
  const edits = [...new Set(lines.flatMap(({ points }) => points.map((point) => point.edits)))].sort((a, b) => a - b);
  const cell = (points, at) => {
    const score = points.find((point) => point.edits === at)?.score;
    return el('td', {}, score ? [shown(score[0], unit), el('small', {}, interval(score, unit), ` · n ${grouped(score[3])}`)] : NONE);
  };
  return el('details', { class: 'as-table' }, el('summary', {}, 'The same as a table'),
    framed(el('table', {},
      el('thead', {}, el('tr', {}, el('th', { scope: 'col', class: 'method' }, 'edits'), lines.map(({ row }) => el('th', { scope: 'col' }, row.label)))),
      el('tbody', {}, edits.map((at) => el('tr', {}, el('th', { scope: 'row', class: 'method' }, grouped(at)), lines.map(({ points }) => cell(points, at)))))),
    'The curves as a table'));
}

part('curve', () => {
  const metric = curveMetric();
  const log = curveScale.value() === 'log';
  const of = settings.map((setting) => withCurve.filter((row) => row.setting === setting)).filter((list) => list.length);
  const node = byId('curves');
  if (!of.length || metric === undefined) { node.replaceChildren(nothing('No sequence of edits was measured along its way.')); return; }
  const width = Math.max(280, node.clientWidth);
  const open = [...node.querySelectorAll('details')].map((details) => details.open);
  node.replaceChildren(...of.map((list) => el('figure', {}, el('h3', {}, list[0].setting),
    list.some((row) => curveOf(row, metric).length) ? drawCurves(width, list, metric, log) : nothing('This metric was not measured along the way.'))));
  node.querySelectorAll('details').forEach((details, i) => { details.open = open[i] ?? false; });
});

