// Two methods on the same cases.

const diffSettings = settings.filter((setting) => rows.some((row) => row.setting === setting && row.versus.length));
const diffMetrics = everyMetric.filter((i) => rows.some((row) => row.versus.some((versus) => versus[1] === i)));
const diffSetting = select('diff-setting', 'diff', 'setting', diffSettings.map((s) => [s, s]));
const diffMetric = selectMetric('diff-metric', 'diff', 'metric', diffMetrics,
  diffMetrics.includes(firstOf(EFFICACY)) ? firstOf(EFFICACY) : diffMetrics[0]);

/** What a difference tells, in words. */
function told95(a, b, metric, [mean, low, high]) {
  if (!isNumber(low) || !isNumber(high) || (low <= 0 && high >= 0)) return 'not told apart';
  return `${beats(metric, mean, 0) ? a.label : b.label} is better`;
}

function diffRow(a, [other, metric, ends, n, p], range) {
  const b = rows[other];
  const { unit } = metrics[metric];
  const place = (value) => along([-range, range], isNumber(value) ? value : 0);
  const style = { '--mean': place(ends[0]), '--low': place(ends[1]), '--high': place(ends[2]) };
  const name = (row) => el('span', { class: 'method-name' }, marker(styleOf(row)), row.label);
  return el('tr', {},
    el('th', { scope: 'row', class: 'method' }, name(a), hidden(' minus ')), el('td', { class: 'words' }, name(b)),
    el('td', {}, el('span', { class: 'mean' }, shown(ends[0], unit)), el('span', { class: 'bar centered', style, 'aria-hidden': 'true' }), el('small', {}, interval(ends, unit))),
    el('td', {}, grouped(n)), el('td', {}, pValue(p)), el('td', { class: 'words' }, told95(a, b, metric, ends)));
}

part('diff', () => {
  const metric = diffMetric();
  const setting = diffSetting.value();
  const pairs = rows.filter((row) => row.setting === setting)
    .flatMap((row) => row.versus.filter((versus) => versus[1] === metric && rows[versus[0]]).map((versus) => [row, versus]))
    // That an edit does something is of less interest than which does more.
    .sort(([a, [b]], [c, [d]]) => (a.unedited || rows[b].unedited) - (c.unedited || rows[d].unedited));
  if (!pairs.length) { byId('diff-table').replaceChildren(nothing('No two methods were compared.')); return; }
  const range = Math.max(1e-9, ...pairs.flatMap(([, versus]) => versus[2].filter(isBounded).map(Math.abs)));
  const unit = UNITS[metrics[metric].unit];
  const head = ['First', 'Second', `Difference${unit ? `, ${unit === '%' ? 'points' : unit}` : ''}`, 'n', 'p', 'At 95%'];
  const table = el('table', { class: 'differences' },
    el('caption', {}, `${nameOf(metric)}; ${setting}`),
    el('thead', {}, el('tr', {}, head.map((text, i) => el('th', { scope: 'col', class: i === 0 ? 'method' : [1, 5].includes(i) ? 'words' : null }, text)))),
    el('tbody', {}, pairs.map(([row, versus]) => diffRow(row, versus, range))));
  byId('diff-table').replaceChildren(framed(table, 'Differences'));
});

