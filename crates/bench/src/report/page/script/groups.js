// Groups of cases: a table of a metric, darker where it is more.

const groupSetting = select('group-setting', 'group', 'setting', settings.map((s) => [s, s]));
const groupMetrics = everyMetric.filter((i) => rows.some((row) => Object.values(row.groups).some((scores) => isNumber(scores[i]?.[0]))));
const groupMetric = selectMetric('group-metric', 'group', 'metric', groupMetrics,
  groupMetrics.includes(firstOf(EFFICACY)) ? firstOf(EFFICACY) : groupMetrics[0]);

function groupCell(score, metric, range) {
  const { unit } = metrics[metric];
  if (!isNumber(score?.[0])) return el('td', { class: 'absent' }, NONE);
  return el('td', { class: 'heat', style: { '--share': along(range, score[0]) } },
    el('span', { class: 'mean' }, shown(score[0], unit)),
    el('small', {}, `${interval(score, unit)} · n ${grouped(score[3])}`));
}

part('group', () => {
  const metric = groupMetric();
  const setting = groupSetting.value();
  const of = rows.filter((row) => row.setting === setting && Object.keys(row.groups).length);
  const names = [...new Set(of.flatMap((row) => Object.keys(row.groups)))].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  if (metric === undefined || !names.length) { byId('group-table').replaceChildren(nothing('The cases have no groups.')); return; }
  const range = rangeOf(metric, of.flatMap((row) => Object.values(row.groups).map((scores) => scores[metric])));
  const unit = UNITS[metrics[metric].unit];
  const table = el('table', { class: 'groups' },
    el('caption', {}, `${nameOf(metric)}${unit ? `, ${unit}` : ''}; ${setting}`),
    el('thead', {}, el('tr', {}, el('th', { scope: 'col', class: 'method' }, 'Group'),
      of.map((row) => el('th', { scope: 'col' }, marker(styleOf(row)), row.label)))),
    el('tbody', {}, names.map((name) => el('tr', {},
      el('th', { scope: 'row', class: 'method' }, name || 'no group'),
      of.map((row) => groupCell(row.groups[name]?.[metric], metric, range))))));
  byId('group-table').replaceChildren(framed(table, 'By group'));
});

