// SPDX-License-Identifier: Apache-2.0

// Puts the page together.

function render_comparison(host, comparison) {
  overview(host, comparison);
  if (comparison.backends.length === 0) {
    host.append(el('p', {class: 'problem'}, 'The document holds no backends.'));
    return;
  }
  if (comparison.has_costs() && comparison.references > 0) {
    const plot = cost_plot(comparison);
    section(host, 'cost', 'Modelled cost', plot.node);
    plot.update();
    if (comparison.specs.length > 1)
      section(host, 'break-even', 'Break-even', break_even_plot(comparison));
  }
  const add = (id, title, wide, nodes) => {
    const present = nodes.filter((node) => node !== null);
    if (present.length === 0) return;
    section(
        host, id, title,
        el('div', {class: wide || present.length === 1 ? 'cards' : 'cards two'}, ...present));
  };
  add('translation', 'Exits, TLB and walks', true, [exits_plot(comparison)]);
  const pair = [misses_plot(comparison), walks_plot(comparison)].filter((node) => node !== null);
  const home = host.querySelector('#translation') ??
      (pair.length > 0 ? section(host, 'translation', 'TLB and walks') : null);
  const caches = cache_table(comparison);
  home?.append(
      ...[pair.length > 0 ? el('div', {class: 'cards two'}, ...pair) : null, caches].filter(
          (node) => node !== null));
  add('time', 'Over time', true, [series_plot(comparison)]);
  add('counters', 'Counters', true, [counter_table(comparison)]);
  add('guest', 'Guest', true, [guest_table(comparison)]);
  add('costs', 'Cost table', true, [cost_items(comparison)]);
  add('prices', 'Cost model', true, [price_table(comparison)]);
}

function header_of(document, is_sweep, source) {
  const first = is_sweep ? record(own(list(own(document, 'points'))[0], 'result')) : document;
  const names = list(own(first, 'traces'))
                    .map((trace) => text(own(trace, 'program')) || text(own(trace, 'name')))
                    .filter((name) => name !== '');
  const specs = list(own(first, 'backends')).map((backend) => text(own(backend, 'spec')));
  const options = record(own(first, 'options'));
  const setting = [['tlb', 'TLB'], ['caches', 'caches'], ['cost', 'cost model']]
                      .filter(([key]) => own(options, key))
                      .map(([key, label]) => `${label} ${text(options[key])}`);
  const file = new Blob([source], {type: 'application/json'});
  const save =
      el('a', {
        class: 'button',
        id: 'download',
        href: URL.createObjectURL(file),
        download: is_sweep ? 'gnomon-sweep.json' : 'gnomon-compare.json'
      },
         `Save the results as JSON (${bytes(file.size)})`);
  by_id('header').append(
      el('p', {class: 'soft'},
         is_sweep ? `Gnomon: a sweep of ${join_words(list(own(document, 'keys')).map(text))}` :
                    'Gnomon: a comparison'),
      el('h1', {}, names.length > 0 ? join_words(names) : 'Memory virtualization compared'),
      el('p', {}, `${join_words(specs)}${setting.length > 0 ? `; ${setting.join(', ')}` : ''}.`),
      save);
  const version = text(own(first, 'gnomon'));
  by_id('footer').append(el(
      'p', {},
      `Made by gnomon ${
          version}. Cycles are modelled from counts and the prices above, not measured. ` +
          'This page is complete in itself and loads nothing. Charts by Chart.js, MIT license.'));
}

function main() {
  const source = by_id('gnomon-document').textContent;
  const document_of = record(JSON.parse(source));
  const schema = text(own(document_of, 'schema'));
  const is_sweep = schema.startsWith('gnomon.sweep/');
  Chart.defaults.font.family = 'system-ui, "Segoe UI", "Liberation Sans", sans-serif';
  header_of(document_of, is_sweep, source);
  const host = by_id('content');
  if (is_sweep) {
    render_sweep(host, document_of);
  } else {
    render_comparison(host, new Comparison(document_of));
    fill_contents();
  }
  dark_query.addEventListener('change', redraw_all);
  // Paper is white whatever the screen is.
  window.addEventListener('beforeprint', () => {
    printing = true;
    redraw_all();
  });
  window.addEventListener('afterprint', () => {
    printing = false;
    redraw_all();
  });
}

main();
