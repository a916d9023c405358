// What a case came to, from the answers that are looked at.

/** From the worst to the best; a case may have several but the last. */
const VERDICTS = [
  { key: 'error', name: 'error', mark: '⚠' },
  { key: 'edit', name: 'edit failed', mark: '✗' },
  { key: 'paraphrase', name: 'paraphrase failed', mark: '✗' },
  { key: 'consequence', name: 'consequence missed', mark: '✗' },
  { key: 'side', name: 'side effect', mark: '≠' },
  { key: 'good', name: 'all as wanted', mark: '✓' },
];
const BIT = Object.fromEntries(VERDICTS.map(({ key }, i) => [key, 1 << i]));

function bitOf({ axis, should_change }) {
  if (axis === 'rewrite') return BIT.edit;
  if (axis === 'paraphrase') return BIT.paraphrase;
  return should_change ? BIT.consequence : BIT.side;
}

/** The verdict that each question of each case leads to where its answer is not as wanted. */
const missed = cases.map((item) => item.questions.map(bitOf));

/** All verdicts of a result, as bits; of the questions of `axis` alone where it is given. */
function verdictsOf(result, axis) {
  let bits = result.error === null ? 0 : BIT.error;
  let judged = false;
  const { questions } = cases[result.at];
  result.answers.forEach((answer, i) => {
    if (!questions[i] || (axis && questions[i].axis !== axis) || answer[4] === null) return;
    judged = true;
    if (!answer[4]) bits |= missed[result.at][i];
  });
  return bits === 0 && judged ? BIT.good : bits;
}

/** Worse comes first. */
const rankOf = (bits) => (bits === 0 ? 99 : Math.log2(bits & -bits));

function badges(bits) {
  const found = VERDICTS.filter((_, i) => bits & (1 << i));
  if (!found.length) return [el('span', { class: 'badge' }, 'not judged')];
  return found.map(({ key, name, mark }) => el('span', { class: `badge ${key}` }, el('span', { 'aria-hidden': 'true' }, `${mark} `), name));
}

