// What is chosen, kept in the address: `#cases?case.method=rome&case.verdict=side`.

const view = new Map();
const renders = {};
let section = '';

function readAddress() {
  const [at, rest] = location.hash.slice(1).split(/\?(.*)/s);
  section = at;
  view.clear();
  for (const [key, value] of new URLSearchParams(rest ?? '')) view.set(key, value);
}

const address = () => {
  const params = new URLSearchParams([...view].sort(([a], [b]) => (a < b ? -1 : 1)));
  return `#${section}${view.size ? `?${params}` : ''}`;
};

const chosen = (key, otherwise = '') => view.get(key) ?? otherwise;

/** Takes choices of a part of the page, those that are as if nothing was chosen out, and shows it. */
function choose(part, choices) {
  for (const [key, value] of Object.entries(choices)) {
    if (value === '' || value === null) view.delete(`${part}.${key}`);
    else view.set(`${part}.${key}`, value);
  }
  if (PARTS[part]) section = PARTS[part];
  history.replaceState(null, '', address());
  renders[part]();
}

const PARTS = {
  board: 'leaderboard', plot: 'trade-off', curve: 'lifelong', group: 'groups', diff: 'differences', case: 'cases',
};

/** Registers how a part is shown, and shows it. */
function part(name, render) {
  renders[name] = render;
}

/** Options of a select, the first of which stands for no choice. */
function select(id, part, key, options, also = () => ({})) {
  const node = byId(id);
  node.append(...options.map(([value, text]) => el('option', { value }, text)));
  const first = options.length ? options[0][0] : '';
  const show = () => {
    node.value = chosen(`${part}.${key}`, first);
    if (node.selectedIndex < 0) node.value = first;
  };
  node.addEventListener('change', () => {
    choose(part, { [key]: node.value === first ? '' : node.value, ...also() });
  });
  node.form?.addEventListener('submit', (event) => event.preventDefault());
  return { show, value: () => { show(); return node.value; } };
}

/** Metrics as options, under the axis that they are of, with the protocol first. */
function selectMetric(id, part, key, which, first) {
  const node = byId(id);
  const axes = [...new Set(which.map((i) => metrics[i].axis))];
  for (const axis of axes) {
    const of = which.filter((i) => metrics[i].axis === axis);
    const options = of.map((i) => el('option', { value: metrics[i].name }, nameOf(i)));
    node.append(axis ? el('optgroup', { label: axis }, options) : el('optgroup', { label: 'others' }, options));
  }
  node.addEventListener('change', () => {
    choose(part, { [key]: metricAt(node.value) === first ? '' : node.value });
  });
  node.form?.addEventListener('submit', (event) => event.preventDefault());
  return () => {
    const at = metricAt(chosen(`${part}.${key}`), first);
    const found = which.includes(at) ? at : first;
    if (found !== undefined) node.value = metrics[found].name;
    return found;
  };
}

/** A metric in words: `rewrite · free · exact`. */
function nameOf(i) {
  const { axis, protocol, measure } = metrics[i];
  return [axis, protocol === 'measured' || protocol === measure ? '' : protocol, measure].filter(Boolean).join(' · ');
}

/** Goes to where the address leads, as links within a page do. */
function goTo(id, behavior = 'auto') {
  const target = byId(id);
  if (!target) return;
  target.scrollIntoView({ behavior, block: 'start' });
}

