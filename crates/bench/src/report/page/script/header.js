// What was run, what of it is missing, and the theme.

function showFacts() {
  const [jobs, done] = about.jobs;
  const facts = [
    ['Model', about.model],
    ['Fingerprint', about.fingerprint && el('code', { title: about.fingerprint }, about.fingerprint.slice(0, 12))],
    ['Data', about.data],
    ['Format', about.dataset],
    ['Cases', grouped(cases.length)],
    [about.seeds.length === 1 ? 'Seed' : 'Seeds', about.seeds.join(', ')],
    ['Jobs', jobs ? `${grouped(done)} of ${grouped(jobs)} done` : ''],
    ['Version', about.version],
  ];
  const pairs = facts.filter(([, value]) => value);
  byId('facts').append(...pairs.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
  byId('version').textContent = about.version;
  const said = alerts();
  if (said.length) byId('facts').after(el('ul', { class: 'alert', 'aria-label': 'What is missing' }, said));
}

function alerts() {
  const [jobs, done] = about.jobs;
  const open = jobs - done;
  const errors = rows.reduce((sum, row) => sum + row.cases[2], 0);
  const said = [
    open > 0 && `${plural(open, 'job')} of ${grouped(jobs)} not there yet: numbers may change.`,
    errors > 0 && `${plural(errors, 'edit')} ended in an error; the numbers of their cases are those of the model without the edit.`,
  ];
  return said.filter(Boolean).map((text) => el('li', {}, el('span', { 'aria-hidden': 'true' }, '⚠ '), text));
}

const THEMES = ['system', 'light', 'dark'];

/** The browser may refuse to keep anything for a file. */
const kept = {
  get() { try { return localStorage.getItem('retcon-theme'); } catch { return null; } },
  set(value) { try { localStorage.setItem('retcon-theme', value); } catch { /* then it is chosen again */ } },
};

function showTheme(name) {
  const theme = THEMES.includes(name) ? name : 'system';
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId('theme-name').textContent = theme;
  return theme;
}

function startTheme() {
  let theme = showTheme(kept.get());
  const button = byId('theme');
  button.hidden = false;
  button.addEventListener('click', () => {
    theme = showTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]);
    kept.set(theme);
  });
}

