// SPDX-License-Identifier: Apache-2.0

// What was counted: exits, TLB and walks, over time, and the full tables.

function exits_plot(comparison) {
  const {specs} = comparison;
  const reasons = comparison.exit_reasons().filter(
      (name) => specs.some((_, i) => amount(comparison.counter(i, name)) > 0));
  if (reasons.length === 0) return null;
  let logarithmic = true;
  const plot = new Plot({
    id: 'plot-exits',
    title: 'Exits by reason',
    controls: [check_box(
        'Logarithmic', logarithmic,
        (on) => {
          logarithmic = on;
          plot.update();
        },
        'exits-log')],
    make() {
      const labels = reasons.map((name) => words(name.slice('exit_'.length)));
      const idle = specs.filter((_, i) => comparison.exits(i) === 0);
      const counts = specs.map((_, i) => reasons.map((name) => comparison.counter(i, name)));
      return {
        type: 'bar',
        height: bar_height(reasons.length, 16 + 15 * specs.length),
        data: {
          labels,
          datasets: specs.map((spec, i) => ({
            label: spec, ...bar_look(backend_style(i)), maxBarThickness: 18, skipNull: true,
            data: counts[i].map((n) => (n === 0 ? null : n)),
          })),
        },
        options: {
          indexAxis: 'y',
          scales: {
            x: axis('exits', logarithmic ?
                {type: 'logarithmic', min: 0.8, ticks: log_ticks} :
                {beginAtZero: true, ticks: {maxTicksLimit: 8}}),
            y: category_axis(labels),
          },
          plugins: {tooltip: {callbacks: {
            label: ({dataset, raw}) => `${dataset.label}: ${exact(raw ?? 0)}`,
          }}},
        },
        summary: specs.map((spec, i) => `${spec}: ${count_of(comparison.exits(i), 'exit')}.`)
            .join(' '),
        note: idle.length > 0 ? `No exits under ${join_words(idle)}.` : '',
        columns: number_columns('Reason', specs),
        rows: () => [
          ...reasons.map((name, r) => {
            const title = text(own(comparison.counter_info.get(name), 'description'));
            return [{text: labels[r], title}, ...specs.map((_, i) => counts[i][r])];
          }),
          ['all', ...specs.map((_, i) => comparison.exits(i))],
        ],
      };
    },
  });
  plot.update();
  return plot.node;
}

function misses_plot(comparison) {
  const {specs} = comparison;
  const rate = (i, name) => comparison.per_reference(comparison.counter(i, name), 1e3);
  const parts = [
    ['second-level hits', 'tlb_hits_l2', {colour: 'sky', pattern: 4}],
    ['misses', 'tlb_misses', {colour: 'red', pattern: 5}]
  ].filter(([, name]) => specs.some((_, i) => amount(comparison.counter(i, name)) > 0));
  if (parts.length === 0 || comparison.references === 0) return null;
  const plot = new Plot({
    id: 'plot-tlb',
    title: 'First-level TLB misses, and where they ended',
    make: () => ({
      ...stacked_bars({
        names: specs,
        unit: 'per 1,000 references',
        end_label: (total) => exact(Number(total.toPrecision(3))),
        parts: parts.map(
            ([label, name, look]) => ({label, look, values: specs.map((_, i) => rate(i, name))}))
      }),
      summary: specs
                   .map(
                       (spec, i) =>
                           `${spec}: ${exact(rate(i, 'tlb_misses'))} misses per 1,000 references.`)
                   .join(' '),
      note: 'A second-level hit costs a few cycles; a miss is a page walk.',
      columns: number_columns('Per 1,000 references', specs),
      rows: () => parts.map(([label, name]) => [label, ...specs.map((_, i) => rate(i, name))]),
    }),
  });
  plot.update();
  return plot.node;
}

function walks_plot(comparison) {
  const {specs} = comparison;
  const looks = {
    guest: group_style('guest_walk', 0),
    host: group_style('host_walk', 1),
    shadow: group_style('shadow_walk', 2)
  };
  const value = (i, dimension) =>
      comparison.per_reference(comparison.walk_references(i, dimension), 1e3);
  const present =
      kDimensions.filter((dimension) => specs.some((_, i) => amount(value(i, dimension)) > 0));
  if (present.length === 0) return null;
  const per_miss = (i) =>
      ratio(comparison.all_walk_references(i), amount(comparison.counter(i, 'tlb_misses')));
  const plot = new Plot({
    id: 'plot-walks',
    title: 'Memory references of page walks',
    make: () => ({
      ...stacked_bars({
        names: specs,
        unit: 'per 1,000 references',
        end_label: (total) => exact(Number(total.toPrecision(3))),
        parts: present.map((dimension) => ({
                             label: `${dimension} tables`,
                             look: looks[dimension],
                             values: specs.map((_, i) => value(i, dimension))
                           }))
      }),
      summary:
          specs.map((spec, i) => `${spec}: ${exact(per_miss(i))} references for each TLB miss.`)
              .join(' '),
      note: `For each TLB miss: ${
          specs.map((spec, i) => `${spec} ${exact(Number((per_miss(i) ?? 0).toPrecision(3)))}`)
              .join(', ')}.`,
      columns: number_columns('Per 1,000 references', specs),
      rows: () =>
          [...present.map(
               (dimension) => [`${dimension} tables`, ...specs.map((_, i) => value(i, dimension))]),
           ['for each TLB miss', ...specs.map((_, i) => per_miss(i))]],
    }),
  });
  plot.update();
  return plot.node;
}

/// Where walk references found their cache line; null when caches were not modelled.
function cache_table(comparison) {
  const rows = comparison.backends.flatMap((backend, i) => {
    const caches = record(own(backend, 'caches'));
    return Object.keys(caches).filter((kind) => sum(list(caches[kind])) > 0).map((kind) => {
      const total = sum(list(caches[kind]));
      return [
        comparison.specs[i], kind === 'data' ? 'data' : `walk: ${kind} tables`, total,
        ...kCacheHits.map((_, level) => {
          const n = amount(list(caches[kind])[level]);
          return {text: `${(100 * n / total).toFixed(1)} %`, value: n, title: exact(n)};
        })
      ];
    });
  });
  if (rows.length === 0) return null;
  return el(
      'div', {class: 'card long', id: 'table-caches'},
      el('h3', {}, 'Where references found their cache line'),
      plain_table(
          'Cache hits',
          [
            {label: 'Backend'}, {label: 'References', kind: 'text'},
            ...['count', ...kCacheHits].map((label) => ({label, kind: 'number'}))
          ],
          rows));
}

function series_plot(comparison) {
  const series = record(own(comparison.document, 'series'));
  const names = list(own(series, 'names')).map(text);
  const lines =
      list(own(series, 'backends'))
          .map(
              (row) => ({spec: text(own(row, 'spec')), points: list(own(row, 'points')).map(list)}))
          .filter(({points}) => points.length > 0);
  if (names.length === 0 || lines.length === 0) return null;
  const interval = finite(own(series, 'interval')) ?? 1;
  const length = Math.max(...lines.map(({points}) => points.length));
  let chosen = Math.max(0, names.indexOf('cycles'));
  let cumulative = false;
  let logarithmic = false;
  const plot = new Plot({
    id: 'plot-series',
    title: 'Each stretch of the replay',
    controls: [
      select_box(
          'Show', names.map((name, k) => ({value: String(k), label: words(name)})), String(chosen),
          (value) => {
            chosen = Number(value);
            plot.update();
          },
          'series-name'),
      check_box(
          'Added up', false,
          (on) => {
            cumulative = on;
            plot.update();
          },
          'series-cumulative'),
      check_box(
          'Logarithmic', false,
          (on) => {
            logarithmic = on;
            plot.update();
          },
          'series-log')
    ],
    make() {
      const values = lines.map(({points}) => {
        let total = 0;
        return points.map((point) => {
          const n = finite(point[chosen]);
          total += n ?? 0;
          return cumulative ? total : n;
        });
      });
      const positions = Array.from({length}, (_, i) => (i + 1) * interval);
      const unit = cumulative ? `${words(names[chosen])} so far` :
                                `${words(names[chosen])} in ${short(interval)} references`;
      return {
        type: 'line',
        height: 340,
        data: {
          datasets: lines.map(({spec}, k) => {
            const i = comparison.specs.indexOf(spec);
            return {
              label: spec,
              ...line_look(backend_style(i >= 0 ? i : k), k, lines.length, length),
              data:
                  values[k].map((y, p) => ({x: positions[p], y: logarithmic && y === 0 ? null : y}))
            };
          })
        },
        options: {
          scales: {
            x: axis('references of the trace', {
              type: 'linear',
              min: length > 1 ? interval : 0,
              max: length * interval,
              ticks: {maxRotation: 0, maxTicksLimit: 9}
            }),
            y: axis(
                unit, logarithmic ? {type: 'logarithmic', ticks: log_ticks} : {beginAtZero: true}),
          },
          plugins: {
            tooltip: {
              itemSort: (a, b) => b.raw.y - a.raw.y,
              callbacks: {
                title: (items) =>
                    (items.length > 0 ? `up to reference ${exact(items[0].raw.x)}` : ''),
                label: ({dataset, raw}) => `${dataset.label}: ${exact(raw.y)}`
              }
            }
          },
        },
        summary: lines
                     .map(
                         ({spec, points}) =>
                             `${spec}: ${exact(sum(points.map((point) => point[chosen])))} ${
                                 words(names[chosen])} over the whole replay.`)
                     .join(' '),
        note: `One value for every ${exact(interval)} references.`,
        columns: number_columns('Up to reference', lines.map(({spec}) => spec)),
        rows: () => positions.map(
            (position, p) => [exact(position), ...values.map((line) => line[p] ?? null)]),
      };
    },
  });
  plot.update();
  return plot.node;
}

function counter_table(comparison) {
  const {specs} = comparison;
  return new DataTable({
           id: 'table-counters',
           label: 'All counters',
           columns: [
             {label: 'Counter', kind: 'text'}, {label: 'Unit', kind: 'text'},
             ...specs.map((spec) => ({label: spec, kind: 'number'}))
           ],
           modes: [
             {value: 'exact', label: 'as counted'}, {value: 'rate', label: 'per million references'}
           ],
           rows_of: (mode) => [...comparison.counter_info.values()].map((info) => {
             const name = text(own(info, 'name'));
             const description = text(own(info, 'description'));
             const values = specs.map((_, i) => comparison.counter(i, name));
             return {
               zero: values.every((n) => amount(n) === 0),
               search: `${name} ${words(name)} ${text(own(info, 'unit'))} ${
                   text(own(info, 'group'))} ${description}`,
               cells: [
                 {text: name, value: name, description}, text(own(info, 'unit')),
                 ...values.map((n, i) => {
                   const value = mode === 'rate' ? comparison.per_reference(n, 1e6) : n;
                   return {
                     text: exact(value),
                     value: value ?? 0,
                     data: {counter: name, backend: specs[i]},
                     title: `${specs[i]}: ${name}`
                   };
                 })
               ],
             };
           }),
         })
      .node;
}

/// What the guest's kernel did: the same under every backend, else one column each.
function guest_table(comparison) {
  const tables = comparison.backends.map((backend) => record(own(backend, 'guest')));
  const names = [...new Set(tables.flatMap((table) => Object.keys(table)))];
  if (names.length === 0) return null;
  const info = new Map(
      list(own(comparison.document, 'guest_info')).map((row) => [text(own(row, 'name')), row]));
  const same =
      names.every((name) => tables.every((table) => own(table, name) === own(tables[0], name)));
  const shown = same && tables.length > 1 ? [0] : tables.map((_, i) => i);
  return new DataTable({
           id: 'table-guest',
           label: 'Guest statistics',
           describes: info.size > 0,
           columns: [
             {label: 'Statistic', kind: 'text'},
             ...shown.map(
                 (i) => ({
                   label: same && tables.length > 1 ? 'every backend' : comparison.specs[i],
                   kind: 'number'
                 }))
           ],
           rows_of: () => names.map((name) => {
             const values = shown.map((i) => finite(own(tables[i], name)));
             const description = text(own(info.get(name), 'description'));
             return {
               zero: values.every((n) => amount(n) === 0),
               search: `${name} ${words(name)} ${description}`,
               cells: [
                 {text: name, value: name, description},
                 ...values.map((n) => ({text: exact(n), value: n ?? 0, data: {statistic: name}}))
               ]
             };
           }),
         })
      .node;
}
