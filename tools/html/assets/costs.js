// SPDX-License-Identifier: Apache-2.0

// Where the modelled cycles go, and what turns with the price of an exit.

const bar_height = (bars, thickness = 34) => 74 + Math.max(2, bars) * thickness;
const number_columns =
    (first, names) => [{label: first}, ...names.map((name) => ({label: name, kind: 'number'}))];

/// Writes a text at the end of each stack of bars.
const stack_labels = (labels) => ({
  id: 'stack_labels',
  afterDatasetsDraw(chart) {
    const {ctx, chartArea} = chart;
    ctx.save();
    ctx.fillStyle = ink().text;
    ctx.font = '600 12px system-ui, sans-serif';
    ctx.textBaseline = 'middle';
    labels(chart).forEach((label, i) => {
      const ends = chart.data.datasets.map((_, d) => chart.getDatasetMeta(d))
                       .filter((meta) => !meta.hidden)
                       .map((meta) => meta.data[i])
                       .filter((bar) => bar !== undefined && Number.isFinite(bar.x));
      if (ends.length === 0) return;
      const right = Math.max(...ends.map((bar) => bar.x));
      const inside = right + ctx.measureText(label).width + 8 > chartArea.right + 60;
      ctx.textAlign = inside ? 'right' : 'left';
      ctx.fillText(label, inside ? chartArea.right + 56 : right + 6, ends[0].y);
    });
    ctx.restore();
  },
});

/// Horizontal bars, one for each name, stacked from `parts`: [{label, look, values}].
function stacked_bars({names, parts, unit, end_label}) {
  const datasets = parts.map(
      ({label, look, values}) =>
          ({label, data: values, ...bar_look(look), stack: 'one', maxBarThickness: 30}));
  const shown_sum = (chart, i) =>
      sum(chart.data.datasets.filter((_, d) => chart.isDatasetVisible(d)).map((d) => d.data[i]));
  return {
    type: 'bar',
    height: bar_height(names.length, 40),
    data: {labels: names, datasets},
    plugins: [stack_labels((chart) => names.map((_, i) => end_label(shown_sum(chart, i), i)))],
    options: {
      indexAxis: 'y',
      layout: {padding: {right: 60}},
      scales: {
        x: axis(unit, {stacked: true, beginAtZero: true, ticks: {maxTicksLimit: 8}}),
        y: {...category_axis(names), stacked: true}
      },
      plugins: {
        tooltip: {
          callbacks: {
            label: ({dataset, raw}) => `${dataset.label}: ${exact(raw)}`,
            footer: (items) => `together: ${exact(sum(items.map((item) => item.raw)))}`,
          }
        }
      },
    },
  };
}

function cost_plot(comparison) {
  const {groups, specs, backends} = comparison;
  return new Plot({
    id: 'plot-cost',
    title: 'Modelled cycles per reference, by what they go to',
    make() {
      const present =
          groups.filter(({name}) => backends.some((_, i) => amount(comparison.group(i, name)) > 0));
      const value = (i, name) => comparison.per_reference(comparison.group(i, name));
      const best = comparison.ranking()[0];
      return {
        ...stacked_bars({
          names: specs,
          unit: 'cycles per reference',
          parts: present.map(({name}) => ({
                               label: words(name),
                               look: group_style(name, groups.findIndex((g) => g.name === name)),
                               values: specs.map((_, i) => value(i, name))
                             })),
          end_label: (total) => exact(Number(total.toPrecision(4))),
        }),
        summary: comparison.ranking()
                     .map(({spec, cycles}) => `${spec}: ${exact(cycles)} cycles.`)
                     .join(' '),
        note: best === undefined ?
            '' :
            'Click a name in the legend to leave a part out and compare the rest.',
        columns: [...number_columns('Part', specs), {label: 'Meaning', kind: 'wrap'}],
        rows: () =>
            [...present.map(
                 ({name, description}) =>
                     [words(name), ...specs.map((_, i) => value(i, name)), description]),
             [
               'together',
               ...specs.map((_, i) => comparison.per_reference(comparison.cost(i, 'total'))), ''
             ]],
      };
    },
  });
}

/// The cost table: each counter that has a price, under each backend.
function cost_items(comparison) {
  const names = new Map();
  comparison.backends.forEach((backend, i) => {
    for (const item of list(own(own(backend, 'cost'), 'items'))) {
      const name = text(own(item, 'name'));
      if (!names.has(name))
        names.set(name, {group: text(own(item, 'group')), cells: comparison.specs.map(() => null)});
      const cells = names.get(name).cells;
      const before = cells[i] ?? {cycles: 0, count: 0};
      cells[i] = {
        cycles: before.cycles + amount(own(item, 'cycles')),
        count: before.count + amount(own(item, 'count'))
      };
    }
  });
  if (names.size === 0) return null;
  return new DataTable({
           id: 'table-costs',
           label: 'Modelled cycles by counter',
           hides_zeros: false,
           columns: [
             {label: 'Counter', kind: 'text'}, {label: 'Part', kind: 'text'},
             ...comparison.specs.map((spec) => ({label: spec, kind: 'number'}))
           ],
           modes: [
             {value: 'reference', label: 'cycles per 1,000 references'},
             {value: 'cycles', label: 'cycles'}, {value: 'share', label: 'percent of the total'}
           ],
           rows_of: (mode) => [...names].map(
               ([name, {group, cells}]) => ({
                 search: `${name} ${words(name)} ${group} ${words(group)}`,
                 cells: [
                   {
                     text: name,
                     value: name,
                     description: text(own(comparison.counter_info.get(name), 'description'))
                   },
                   words(group), ...cells.map((cell, i) => {
                     const cycles = cell === null ? 0 : cell.cycles;
                     const value = mode === 'cycles' ?
                         cycles :
                         mode === 'share' ?
                         100 * (ratio(cycles, amount(comparison.cost(i, 'total'))) ?? 0) :
                         comparison.per_reference(cycles, 1e3);
                     return {
                       text: mode === 'share' ? `${(value).toFixed(1)} %` : exact(value),
                       value,
                       title: cell === null ?
                           undefined :
                           `${exact(cell.count)} counted, ${exact(cell.cycles)} cycles`
                     };
                   })
                 ],
               })),
         })
      .node;
}

function price_table(comparison) {
  const model = record(own(comparison.document, 'cost_model'));
  const prices = list(own(model, 'prices'));
  if (prices.length === 0) return null;
  return new DataTable({
           id: 'table-prices',
           label: `Prices of the cost model ${text(own(model, 'name'))}`,
           hides_zeros: false,
           describes: false,
           columns: [
             {label: 'Price', kind: 'text'}, {label: 'Value', kind: 'number'},
             {label: 'Unit', kind: 'text'}, {label: 'Source', kind: 'wrap'}
           ],
           rows_of: () => prices.map(
               (price) => ({
                 search: ['name', 'unit', 'source'].map((key) => text(own(price, key))).join(' '),
                 cells: [
                   text(own(price, 'name')), {
                     text: exact(own(price, 'value')),
                     value: finite(own(price, 'value')) ?? '',
                     title: text(own(price, 'description'))
                   },
                   text(own(price, 'unit')), text(own(price, 'source'))
                 ],
               })),
         })
      .node;
}
