// The definition of a metric beside whatever has `data-metric`, for pointers and for keys.

const tip = byId('tip');
let tipFor = null;
let leaving = 0;

function definition(i) {
  const { name, also, summary, source, better, protocol } = metrics[i];
  return [
    el('p', { class: 'tip-name' }, el('code', {}, name), protocolTag(protocol)),
    el('p', {}, sentence(summary)),
    el('p', { class: 'quiet-text' },
      [also && `Also called ${also}`, `${better === 'higher' ? 'More' : 'Less'} is better`, source].filter(Boolean).join(' · ')),
  ];
}

function showTip(target) {
  clearTimeout(leaving);
  if (tipFor === target) return;
  hideTip();
  tipFor = target;
  tip.replaceChildren(...definition(Number(target.dataset.metric)));
  tip.hidden = false;
  target.setAttribute('aria-describedby', 'tip');
  const at = target.getBoundingClientRect();
  const size = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left + at.width / 2 - size.width / 2), innerWidth - size.width - 8);
  // Above, where it hides no number of its column, unless the bar of sections is there.
  const below = at.top - size.height - 8 < 56;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${below ? at.bottom + 8 : at.top - size.height - 8}px`;
}

function hideTip() {
  clearTimeout(leaving);
  tipFor?.removeAttribute('aria-describedby');
  tipFor = null;
  tip.hidden = true;
}

// The pointer may go from the target onto the tip.
const hideSoon = () => { clearTimeout(leaving); leaving = setTimeout(hideTip, 160); };
const withMetric = (node) => node.closest?.('[data-metric]');

document.addEventListener('pointerover', (event) => {
  const target = withMetric(event.target);
  if (target && event.pointerType !== 'touch') showTip(target);
  else if (tip.contains(event.target)) clearTimeout(leaving);
  else if (tipFor && tipFor !== document.activeElement) hideSoon();
});
document.addEventListener('focusin', (event) => {
  const target = withMetric(event.target);
  if (target && target.matches(':focus-visible')) showTip(target);
  else hideTip();
});
document.addEventListener('keydown', (event) => { if (event.key === 'Escape') hideTip(); });
document.addEventListener('scroll', hideTip, { passive: true, capture: true });

