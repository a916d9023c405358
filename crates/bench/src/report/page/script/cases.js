// The list of cases: filtered, failures first, a page at a time.

const PAGE = 25;
const EDITED = '';
const options = (names) => names.map((name) => [name, name]);
const groups = [...new Set(cases.map((item) => item.group))].filter(Boolean).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
const axes = [...new Set(cases.flatMap((item) => item.questions.map((question) => question.axis)))];
const firstPage = () => ({ page: '', open: '' });

const caseMethod = select('case-method', 'case', 'method',
  [[EDITED, 'all edited'], ...options(methods), ...(results.some(({ row }) => rows[row].unedited) ? [['unedited', 'unedited']] : [])], firstPage);
const caseSetting = select('case-setting', 'case', 'setting', [['', 'all'], ...options(settings)], firstPage);
const caseGroup = select('case-group', 'case', 'group', [['', 'all'], ...options(groups)], firstPage);
const caseAxis = select('case-axis', 'case', 'axis', [['', 'all'], ...options(axes)], firstPage);
const caseVerdict = select('case-verdict', 'case', 'verdict', [['', 'any'], ...VERDICTS.map(({ key, name }) => [key, name])], firstPage);
const caseFilters = [caseMethod, caseSetting, caseGroup, caseAxis, caseVerdict];

const search = byId('case-search');
let typing = 0;
search.addEventListener('input', () => {
  clearTimeout(typing);
  typing = setTimeout(() => choose('case', { q: search.value.trim(), ...firstPage() }), 160);
});
byId('case-reset').addEventListener('click', () => {
  choose('case', { method: '', setting: '', group: '', axis: '', verdict: '', q: '', ...firstPage() });
  search.focus();
});

/** What is searched in a case, lower-cased once. */
const lower = (text) => text.toLocaleLowerCase();
let caseTexts = null;
let stringTexts = null;

/** Whether a result has `words` in its case or in what was said. */
function searcher(words) {
  if (!words) return () => true;
  caseTexts ??= cases.map(({ id, edits, questions }) => lower([id, ...edits, ...questions.flatMap(({ prompt, wanted, other }) => [prompt, wanted, other])].join('\n')));
  stringTexts ??= strings.map(lower);
  const wanted = lower(words);
  const inCase = caseTexts.map((text) => text.includes(wanted));
  const inString = stringTexts.map((text) => text.includes(wanted));
  return (result) => inCase[result.at] || (result.error !== null && lower(result.error).includes(wanted))
    || result.answers.some(([, , , says]) => says.some((index) => index !== null && inString[index]));
}

/** What passes the filters, failures first. */
function found() {
  const [method, setting, group, axis, verdict] = caseFilters.map((filter) => filter.value());
  const matches = searcher(chosen('case.q'));
  const hasAxis = axis ? cases.map((item) => item.questions.some((question) => question.axis === axis)) : null;
  const rowPasses = rows.map((row) => (method === EDITED ? !row.unedited : method === 'unedited' ? row.unedited : row.label === method)
    && (!setting || row.setting === setting));
  const list = [];
  for (const result of results) {
    if (!rowPasses[result.row] || (group && cases[result.at].group !== group) || (hasAxis && !hasAxis[result.at])) continue;
    const bits = verdictsOf(result, axis);
    if (verdict && !(bits & BIT[verdict])) continue;
    if (matches(result)) list.push({ result, bits });
  }
  return list.sort((a, b) => rankOf(a.bits) - rankOf(b.bits) || a.result.at - b.result.at || a.result.index - b.result.index);
}

/** A result's name in the address: row, case, seed, edits. */
const keyOf = ({ row, at, seed, edits }) => [row, at, seed, edits].join('.');

function caseItem({ result, bits }) {
  const row = rows[result.row];
  const item = cases[result.at];
  const seeds = about.seeds.length > 1 ? ` · seed ${result.seed}` : '';
  const body = el('div', { class: 'case-body' });
  const open = chosen('case.open') === keyOf(result);
  const details = el('details', { class: 'case', open },
    el('summary', {},
      el('span', { class: 'case-edit' }, item.edits.length ? edited(item.edits[0]) : told(item.id), item.edits.length > 1 && el('span', { class: 'more' }, ` and ${plural(item.edits.length - 1, 'more edit')}`)),
      el('span', { class: 'case-about' }, el('span', { class: 'method-name' }, marker(styleOf(row)), row.label), ` · ${row.setting} · after ${plural(result.edits, 'edit')}${seeds} · case `, told(item.id), item.group && ` · ${item.group}`),
      el('span', { class: 'badges' }, badges(bits))),
    body);
  const fill = () => { if (!body.hasChildNodes()) body.append(...caseBody(result, caseAxis.value())); };
  if (open) fill();
  details.addEventListener('toggle', () => {
    if (details.open) fill();
    const now = chosen('case.open') === keyOf(result);
    if (details.open !== now) remember(details.open ? keyOf(result) : '');
  });
  return el('li', {}, details);
}

/** Keeps which case was opened last, without showing the list anew. */
function remember(key) {
  if (key) view.set('case.open', key); else view.delete('case.open');
  section = 'cases';
  history.replaceState(null, '', address());
}

function showPager(page, pages) {
  const to = (page, text, enabled) => el('button', { type: 'button', disabled: !enabled,
    onclick: () => { choose('case', { page: page > 1 ? String(page) : '', open: '' }); goTo('case-count'); byId('case-list').querySelector('summary')?.focus({ preventScroll: true }); } }, text);
  byId('case-pager').replaceChildren(...(pages < 2 ? [] : [
    to(1, '⇤ First', page > 1), to(page - 1, '← Previous', page > 1),
    el('span', {}, `Page ${grouped(page)} of ${grouped(pages)}`),
    to(page + 1, 'Next →', page < pages), to(pages, 'Last ⇥', page < pages)]));
}

part('case', () => {
  if (document.activeElement !== search) search.value = chosen('case.q');
  const list = found();
  const pages = Math.max(1, Math.ceil(list.length / PAGE));
  const page = Math.min(pages, Math.max(1, Number.parseInt(chosen('case.page', '1'), 10) || 1));
  const failed = list.filter(({ bits }) => bits && bits !== BIT.good).length;
  byId('case-count').textContent = list.length
    ? `${grouped(list.length)} of ${plural(results.length, 'result')}, ${grouped(failed)} with something not as wanted`
    : `None of ${plural(results.length, 'result')} passes these filters.`;
  byId('case-list').replaceChildren(...list.slice((page - 1) * PAGE, page * PAGE).map(caseItem));
  showPager(page, pages);
});

