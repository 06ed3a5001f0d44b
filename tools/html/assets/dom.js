// SPDX-License-Identifier: Apache-2.0

// Elements. What comes from the document only ever becomes a text node or a property, never markup.

/// el('p', {class: 'note', title: '…', data: {x: 1}, on: {click: f}}, 'text', child, …)
function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === 'on') {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (key === 'data') {
      for (const [name, item] of Object.entries(value)) node.dataset[name] = text(item);
    } else {
      node.setAttribute(key, value === true ? '' : text(value));
    }
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const by_id = (id) => document.getElementById(id);
let last_number = 0;
const fresh_id = (stem) => `${stem}-${++last_number}`;
const announce = (message) => {
  by_id('announcer').textContent = message;
};

/// A labelled select. `choices`: [{value, label}].
function select_box(label, choices, chosen, on_change, id) {
  const box =
      el('select', {id, on: {change: () => on_change(box.value)}},
         ...choices.map(({value, label: shown}) => el('option', {value}, shown)));
  box.value = chosen;
  return el('label', {}, label, box);
}

function check_box(label, checked, on_change, id) {
  const box = el('input', {type: 'checkbox', id, on: {change: () => on_change(box.checked)}});
  box.checked = checked;
  return el('label', {}, box, label);
}

/// A section of the page, listed in the navigation.
function section(host, id, title, ...children) {
  const heading_id = `${id}-title`;
  const node =
      el('section', {id, 'aria-labelledby': heading_id}, el('h2', {id: heading_id}, title),
         ...children);
  host.append(node);
  return node;
}

function fill_contents() {
  const links = [...document.querySelectorAll('main section[id]')].map(
      (node) => el('li', {}, el('a', {href: `#${node.id}`}, node.querySelector('h2').textContent)));
  by_id('contents').replaceChildren(el('ul', {}, ...links));
}

/// Names and values side by side.
function definitions(kind, entries) {
  return el(
      'dl', {class: kind},
      ...entries.map(
          ([name, value, title]) => el('div', {title}, el('dt', {}, name), el('dd', {}, value))));
}
