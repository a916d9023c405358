// Elements, made of names and texts; a text never becomes markup.

const byId = (id) => document.getElementById(id);

function set(node, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'style') {
      for (const [key, of] of Object.entries(value)) node.style.setProperty(key, of);
    } else node.setAttribute(name, value === true ? '' : value);
  }
}

function el(name, props = {}, ...children) {
  const node = document.createElement(name);
  set(node, props);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function svg(name, props = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  set(node, props);
  node.append(...children.flat().filter(Boolean));
  return node;
}

const hidden = (text) => el('span', { class: 'hidden' }, text);

/** A text of a case: its own direction, line breaks in plain sight. */
const told = (text, props = {}) => el('bdi', { class: 'told', dir: 'auto', ...props }, text);

/** A sentence of a report: a capital first, names in `back quotes` as code. */
function sentence(text) {
  const whole = `${(text[0] ?? '').toUpperCase()}${text.slice(1)}.`;
  return whole.split(/`([^`]*)`/).map((piece, i) => (i % 2 ? el('code', {}, piece) : piece));
}

/** An edit, written as `The capital of {France} is => Berlin`: its subject marked, an arrow to what is new. */
function edited(text) {
  const [, prompt, object] = text.match(/^(.*) => (.*)$/s) ?? [null, text, null];
  const pieces = prompt.split(/\{([^{}]*)\}/).map((piece, i) => (i % 2 ? el('b', { class: 'subject' }, piece) : piece));
  return el('bdi', { class: 'told', dir: 'auto' }, pieces, object !== null && [el('span', { class: 'arrow-to' }, ' → '), el('b', {}, object)]);
}

/** A table in a frame of its own that scrolls, also by keys. */
function framed(table, label) {
  return el('div', { class: 'scroll', role: 'region', tabindex: 0, 'aria-label': label }, table);
}

/** Words that are not together in a sentence: nothing to show, and why. */
const nothing = (text) => el('p', { class: 'nothing' }, text);

/** The protocol of a metric, as a tag that reads without its color. */
function protocolTag(name) {
  return el('span', { class: `protocol ${name}` }, name);
}

