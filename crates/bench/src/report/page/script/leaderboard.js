// The leaderboard: a table a setting, sorted alike.

const boardSetting = select('board-setting', 'board', 'setting', [['', 'all'], ...settings.map((s) => [s, s])]);

byId('board-all').addEventListener('change', (event) => choose('board', { all: event.target.checked ? '1' : '' }));

byId('protocols').append(...protocols
  .filter(([name]) => metrics.some((metric) => metric.protocol === name))
  .map(([name, summary]) => el('li', {}, protocolTag(name), ' ', summary)));

/** Runs of columns that share what `of` gives, with their lengths. */
function runs(columns, of) {
  const found = [];
  for (const i of columns) {
    const last = found.at(-1);
    if (last && last.value === of(i)) last.columns.push(i);
    else found.push({ value: of(i), columns: [i] });
  }
  return found;
}

/** `-name` sorts by name with the worst first. */
function sorting() {
  const text = chosen('board.sort');
  const name = text.replace(/^-/, '');
  if (name === 'method') return { by: 'method', worst: text !== name };
  const by = metrics.findIndex((metric) => metric.name === name);
  return by < 0 ? null : { by, worst: text !== name };
}

function sorted(of) {
  const order = sorting();
  const [fixed, free] = [of.filter((row) => row.unedited), of.filter((row) => !row.unedited)];
  if (!order) return [...fixed, ...free];
  const compare = (a, b) => {
    if (order.by === 'method') return a.label.localeCompare(b.label);
    const [x, y] = [scoreOf(a, order.by), scoreOf(b, order.by)];
    if (!x || !y) return (x ? 0 : 1) - (y ? 0 : 1);
    if (x[0] === y[0]) return 0;
    return beats(order.by, x[0], y[0]) === order.worst ? 1 : -1;
  };
  free.sort(compare);
  if (order.by === 'method' && order.worst) free.reverse();
  return [...fixed, ...free];
}

/** One press the best first, another the worst, a third as it was. */
function press(name) {
  const now = chosen('board.sort');
  choose('board', { sort: now === name ? `-${name}` : now === `-${name}` ? '' : name });
  document.querySelector(`[data-sort="${CSS.escape(name)}"][data-table="${pressed}"]`)?.focus();
}
let pressed = '0';

function sortButton(name, text, table, metric) {
  const order = sorting();
  const isBy = order && (order.by === 'method' ? name === 'method' : metrics[order.by].name === name);
  const rises = isBy && (order.by === 'method' ? !order.worst : (metrics[order.by].better === 'lower') !== order.worst);
  const mark = !isBy ? '' : rises ? '▲' : '▼';
  const button = el('button', {
    type: 'button', class: 'sort', 'data-sort': name, 'data-table': table, 'data-metric': metric,
    onclick: () => { pressed = String(table); press(name); },
  }, text, el('span', { class: 'arrow', 'aria-hidden': 'true' }, mark || '↕'));
  const state = !isBy ? 'none' : rises ? 'ascending' : 'descending';
  return { button, state };
}

/** The n that most rows have; those with another show it. */
function sharedN(of, metric) {
  const ns = of.map((row) => scoreOf(row, metric)?.[3]).filter((n) => n !== undefined);
  const times = (n) => ns.filter((other) => other === n).length;
  return ns.reduce((best, n) => (best === null || times(n) > times(best) ? n : best), null);
}

function boardHead(of, columns, table) {
  const name = sortButton('method', 'Method', table);
  const axes = runs(columns, (i) => metrics[i].axis);
  const kinds = axes.flatMap((axis) => runs(axis.columns, (i) => metrics[i].protocol));
  const first = new Set(axes.map((axis) => axis.columns[0]));
  const opens = (i) => (first.has(i) ? 'opens' : null);
  const column = (i) => {
    const { name, measure, unit } = metrics[i];
    const { button, state } = sortButton(name, measure, table, i);
    const n = sharedN(of, i);
    const notes = [UNITS[unit], n !== null && `n ${grouped(n)}`].filter(Boolean).join(' · ');
    const less = metrics[i].better === 'lower' && [el('span', { 'aria-hidden': 'true', title: 'less is better' }, ' ↓'), hidden(', less is better')];
    return el('th', { scope: 'col', class: opens(i), 'aria-sort': state }, button, el('small', {}, notes, less));
  };
  return el('thead', {},
    el('tr', {},
      el('th', { rowspan: 3, scope: 'col', class: 'method', 'aria-sort': name.state }, name.button),
      axes.map(({ value, columns }) => el('th', { scope: 'colgroup', colspan: columns.length, class: 'axis opens' }, value || 'others'))),
    el('tr', {}, kinds.map(({ value, columns }) => el('th', { scope: 'colgroup', colspan: columns.length, class: opens(columns[0]) }, protocolTag(value)))),
    el('tr', {}, columns.map(column)));
}

/** How many cases a row is of, and what is wrong with them. */
function completeness([done, planned, failed]) {
  return el('small', { class: 'done' },
    done < planned ? el('span', { class: 'warn' }, `◔ ${grouped(done)} of ${plural(planned, 'case')}`) : plural(done, 'case'),
    failed > 0 && el('span', { class: 'warn' }, ` ⚠ ${grouped(failed)} failed`));
}

function boardCell(row, metric, range, best, n, opens) {
  const score = scoreOf(row, metric);
  const { unit } = metrics[metric];
  if (!score) return el('td', { class: opens }, el('span', { class: 'mean absent' }, NONE));
  const ends = isNumber(score[1]) && isNumber(score[2]);
  const [low, high] = ends ? [score[1], score[2]] : [score[0], score[0]];
  const style = { '--mean': along(range, score[0]), '--low': along(range, low), '--high': along(range, high) };
  return el('td', { class: [opens, best && 'best'].filter(Boolean).join(' ') || null },
    el('span', { class: 'mean' }, best && el('span', { class: 'star', title: 'best of this column' }, '★'), best && hidden('best: '), shown(score[0], unit)),
    el('span', { class: 'bar', style, 'aria-hidden': 'true' }),
    el('small', {}, score[3] > 1 && interval(score, unit), n !== score[3] && ` · n ${grouped(score[3])}`));
}

/** Where edits failed, the numbers are those of the model without them, which changes nothing else. */
const competes = (row) => !row.unedited && row.cases[2] === 0;

/** The best number of a column, as it is shown; none where only one row has one. */
function bestOf(of, metric) {
  const means = of.filter(competes).map((row) => scoreOf(row, metric)?.[0]).filter(isBounded);
  if (means.length < 2) return null;
  return shown(means.reduce((a, b) => (beats(metric, b, a) ? b : a)), metrics[metric].unit);
}

function boardTable(setting, table) {
  const of = rows.filter((row) => row.setting === setting);
  const all = chosen('board.all') === '1';
  const is = (i) => (all || metrics[i].shown) && rows.some((row) => scoreOf(row, i));
  const columns = metrics.map((_, i) => i).filter(is);
  const starts = new Set(runs(columns, (i) => metrics[i].axis).map(({ columns }) => columns[0]));
  const about = columns.map((i) => ({
    i, best: bestOf(of, i), n: sharedN(of, i), opens: starts.has(i) ? 'opens' : null,
    range: rangeOf(i, rows.map((row) => scoreOf(row, i))),
  }));
  const line = (row) => el('tr', { id: `row-${rows.indexOf(row)}`, tabindex: -1, class: row.unedited ? 'unedited' : null },
    el('th', { scope: 'row', class: 'method' },
      el('span', { class: 'method-name' }, marker(styleOf(row)), row.label),
      row.unedited ? el('small', { class: 'done' }, 'reference, ', plural(row.cases[0], 'case')) : completeness(row.cases)),
    about.map(({ i, best, n, opens, range }) => {
      const isBest = competes(row) && best !== null && shown(scoreOf(row, i)?.[0], metrics[i].unit) === best;
      return boardCell(row, i, range, isBest, n, opens);
    }));
  const label = `Leaderboard, ${setting}`;
  return el('section', { class: 'board', 'aria-label': setting }, el('h3', {}, setting),
    framed(el('table', { class: 'leaderboard' }, boardHead(of, columns, table), el('tbody', {}, sorted(of).map(line))), label));
}

part('board', () => {
  const setting = boardSetting.value();
  byId('board-all').checked = chosen('board.all') === '1';
  const scrolled = [...document.querySelectorAll('#boards .scroll')].map((node) => node.scrollLeft);
  const boards = settings.map((name, i) => (setting === '' || setting === name ? boardTable(name, i) : null)).filter(Boolean);
  byId('boards').replaceChildren(...(boards.length ? boards : [nothing('No row is there yet.')]));
  document.querySelectorAll('#boards .scroll').forEach((node, i) => { node.scrollLeft = scrolled[i] ?? 0; });
});

/** Shows a row of the leaderboard, from elsewhere on the page. */
function goToRow(index) {
  const setting = chosen('board.setting');
  if (setting && setting !== rows[index].setting) choose('board', { setting: '' });
  const row = byId(`row-${index}`);
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: 'center' });
  row.classList.remove('found');
  requestAnimationFrame(() => row.classList.add('found'));
}

