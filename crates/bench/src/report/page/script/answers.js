// An opened case: each question, what was said before and after, and how it was taken.

/** `text` with the wanted and the other answer marked where they stand first. */
function marked(text, { wanted, other }) {
  const spots = [['wanted', wanted], ['other', other]]
    .map(([kind, answer]) => ({ kind, from: answer ? lower(text).indexOf(lower(answer)) : -1, n: answer.length }))
    .filter(({ from }) => from >= 0).sort((a, b) => a.from - b.from);
  const pieces = [];
  let at = 0;
  for (const { kind, from, n } of spots) {
    if (from < at) continue;
    pieces.push(text.slice(at, from), el('mark', { class: kind }, text.slice(from, from + n)));
    at = from + n;
  }
  return [...pieces, text.slice(at)];
}

function saying(title, reading, question, tokens) {
  const numbers = [
    reading.nll !== null && ['NLL of the wanted', shown(reading.nll, 'number')],
    reading.other !== null && ['of the other', shown(reading.other, 'number')],
    reading.lead !== null && tokens > 0 && ['tokens that lead', `${reading.lead} of ${tokens}`],
  ];
  return el('div', { class: 'saying' },
    el('h5', {}, title),
    reading.says === null ? el('p', { class: 'quiet-text' }, 'Not asked to speak freely.')
      : el('p', { class: 'says' }, reading.says === '' ? el('span', { class: 'quiet-text' }, 'said nothing') : el('bdi', { class: 'told', dir: 'auto' }, marked(reading.says.replace(/^ /, ''), question))),
    el('dl', { class: 'numbers' }, numbers.filter(Boolean).map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value)))));
}

function verdictTag(question, wanted) {
  if (wanted === null) return el('span', { class: 'badge' }, 'not judged');
  if (wanted) return el('span', { class: 'badge good' }, el('span', { 'aria-hidden': 'true' }, '✓ '), 'as wanted');
  const { name, key, mark } = VERDICTS[Math.log2(bitOf(question))];
  return el('span', { class: `badge ${key}` }, el('span', { 'aria-hidden': 'true' }, `${mark} `), name);
}

function questionItem(question, answer) {
  return el('li', { class: 'question' },
    el('div', { class: 'question-head' },
      el('p', { class: 'prompt' }, el('span', { class: 'axis-tag' }, question.axis), ' ', told(question.prompt)),
      verdictTag(question, answer.wanted)),
    el('p', { class: 'expected' },
      question.wanted ? ['wanted: ', el('mark', { class: 'wanted' }, told(question.wanted))] : 'wanted: the same as before',
      question.other && [' · competes with: ', el('mark', { class: 'other' }, told(question.other))]),
    el('div', { class: 'sayings' }, saying('Before', answer.before, question, answer.tokens), saying('After', answer.after, question, answer.tokens)));
}

function caseNumbers(result) {
  const has = everyMetric.filter((i) => isNumber(result.numbers[i]));
  if (!has.length) return null;
  return el('details', { class: 'case-numbers' }, el('summary', {}, 'Metrics of this case alone'),
    el('dl', { class: 'numbers' }, has.map((i) => el('div', {}, el('dt', {}, nameOf(i)), el('dd', {}, withUnit(shown(result.numbers[i], metrics[i].unit), metrics[i].unit))))));
}

/** All of a case, or its questions of one axis. */
function caseBody(result, axis) {
  const item = cases[result.at];
  const asked = item.questions.map((question, i) => [question, result.answers[i]])
    .filter(([question, answer]) => answer && (!axis || question.axis === axis));
  return [
    result.error !== null && el('p', { class: 'alert' }, el('span', { 'aria-hidden': 'true' }, '⚠ '), 'The edit failed: ', told(result.error)),
    item.edits.length > 1 && el('ul', { class: 'edits' }, item.edits.map((edit) => el('li', {}, edited(edit)))),
    asked.length ? el('ol', { class: 'questions' }, asked.map(([question, answer]) => questionItem(question, answerOf(answer)))) : nothing('Nothing was asked.'),
    caseNumbers(result),
  ].filter(Boolean);
}

