// The results, and numbers as people read them.

const data = JSON.parse(document.getElementById('data').textContent);
const { about, protocols, metrics, rows, cases, strings } = data;
const settings = [...new Set(rows.map((row) => row.setting))];
const NONE = '–';

/** A result of a case under a row, by name. */
const results = data.results.map(([row, at, seed, edits, error, numbers, answers], index) => ({
  index, row, at, seed, edits, numbers, answers,
  error: error === null ? null : strings[error],
}));

/** An answer to a question, by name. */
function answerOf([nll, tokens, lead, says, wanted]) {
  const text = (index) => (index === null ? null : strings[index]);
  return {
    tokens, wanted,
    before: { nll: nll[0], other: nll[2], lead: lead[0], says: text(says[0]) },
    after: { nll: nll[1], other: nll[3], lead: lead[1], says: text(says[1]) },
  };
}

const isNumber = (value) => typeof value === 'number';
// JSON has no word for infinity: the largest number stands for it.
const isBounded = (value) => isNumber(value) && Math.abs(value) < Number.MAX_VALUE;
const scoreOf = (row, metric) => {
  const score = row.scores[metric];
  return score && isNumber(score[0]) ? score : null;
};

/** A number without its unit; shares in percent. */
function shown(value, unit) {
  if (!isNumber(value)) return NONE;
  if (!isBounded(value)) return value > 0 ? '∞' : '−∞';
  const size = Math.abs(value);
  let text;
  if (unit === 'share') text = (100 * value).toFixed(1);
  else if (size >= 100) text = value.toFixed(0);
  else if (size >= 10) text = value.toFixed(1);
  else if (size >= 1) text = value.toFixed(2);
  else if (size >= 0.001 || size === 0) text = value.toFixed(3);
  else text = value.toExponential(1);
  if (/^-[0.]+$/.test(text)) return text.slice(1);
  return text.replace(/^-/, '−');
}

function interval([, low, high], unit) {
  return `${shown(low, unit)}${low < 0 ? ' to ' : '–'}${shown(high, unit)}`;
}

const UNITS = { share: '%', number: '', seconds: 's' };
const withUnit = (text, unit) => (UNITS[unit] ? `${text} ${UNITS[unit]}` : text);
const pValue = (p) => (!isNumber(p) ? NONE : p < 0.001 ? '< 0.001' : p.toFixed(3));
const grouped = (n) => n.toLocaleString('en-US');
const plural = (n, word) => `${grouped(n)} ${word}${n === 1 ? '' : 's'}`;

/** The range that a metric's numbers are drawn in. */
function rangeOf(metric, scores) {
  const ends = scores.filter(Boolean).flatMap((score) => score.slice(0, 3)).filter(isBounded);
  const low = Math.min(0, ...ends);
  const high = Math.max(0, ...ends);
  if (metrics[metric].unit === 'share') return [low < 0 ? -1 : 0, 1];
  return high > low ? [low, high] : [0, 1];
}

/** A metric's position by its name, or the first that is there. */
function metricAt(name, otherwise) {
  const found = metrics.findIndex((metric) => metric.name === name);
  return found < 0 ? otherwise : found;
}

/** Whether `a` is better than `b` at a metric. */
const beats = (metric, a, b) => (metrics[metric].better === 'higher' ? a > b : a < b);

/** Each method has a color and a shape of its own, the same everywhere. */
const methods = [...new Set(rows.filter((row) => !row.unedited).map((row) => row.label))];
const styleOf = (row) => (row.unedited ? -1 : methods.indexOf(row.label));

