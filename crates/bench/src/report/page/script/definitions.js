// What each metric is, by axis.

function showDefinitions() {
  const of = [...new Set(metrics.map((metric) => metric.axis))];
  const entry = ({ name, also, summary, source, better, protocol }) => el('div', { class: 'definition', id: `metric-${name}` },
    el('dt', {}, el('code', {}, name), protocolTag(protocol)),
    el('dd', {}, sentence(summary), ' ', better === 'lower' && 'Less is better. ',
      also && el('span', {}, 'Also called ', el('em', {}, also), '. '), el('span', { class: 'quiet-text' }, source)));
  byId('definition-list').append(...of.map((axis) => el('div', {}, el('h3', {}, axis || 'others'),
    el('dl', {}, metrics.filter((metric) => metric.axis === axis).map(entry)))));
}

