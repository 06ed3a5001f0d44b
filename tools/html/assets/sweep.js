// SPDX-License-Identifier: Apache-2.0

// A sweep: the same comparison at several values of one or more options.

class Sweep {
  constructor(document) {
    this.points =
        list(own(document, 'points')).map((point) => ({
                                            values: record(own(point, 'values')),
                                            comparison: new Comparison(record(own(point, 'result')))
                                          }));
    this.keys = list(own(document, 'keys')).map(text);
    if (this.keys.length === 0)
      this.keys = [...new Set(this.points.flatMap(({values}) => Object.keys(values)))];
    this.specs = [...new Set(this.points.flatMap(({comparison}) => comparison.specs))];
    const counters =
        new Set(this.points.flatMap(({comparison}) => [...comparison.counter_info.keys()]));
    this.measures = [
      ...kMeasures, ...[...counters].map((name) => ({
                                           key: `counter:${name}`,
                                           label: `counter: ${words(name)}`,
                                           of: (c, i) => c.counter(i, name)
                                         }))
    ];
  }
  value(point, key) {
    return text(own(point.values, key));
  }
  values_of(key) {
    return [...new Set(this.points.map((point) => this.value(point, key)))];
  }
  title(point) {
    return this.keys.map((key) => `${key} = ${this.value(point, key)}`).join(', ');
  }
  measure(point, key, spec) {
    const i = point.comparison.specs.indexOf(spec);
    return i < 0 ? null :
                   this.measures.find((measure) => measure.key === key).of(point.comparison, i);
  }
}

function sweep_plot(sweep) {
  let measure = 'cycles';
  let along = sweep.keys[0];
  let logarithmic = false;
  const fixed = new Map(sweep.keys.map((key) => [key, sweep.values_of(key)[0]]));
  const others = el('span', {class: 'controls'});
  const choose_others = () => others.replaceChildren(
      ...sweep.keys.filter((key) => key !== along)
          .map(
              (key) => select_box(
                  key, sweep.values_of(key).map((value) => ({value, label: value})), fixed.get(key),
                  (value) => {
                    fixed.set(key, value);
                    plot.update();
                  })));
  const plot = new Plot({
    id: 'plot-sweep',
    title: 'Over the swept value',
    controls: [
      select_box(
          'Show', sweep.measures.map(({key, label}) => ({value: key, label})), measure,
          (value) => {
            measure = value;
            plot.update();
          },
          'sweep-measure'),
      sweep.keys.length < 2 ?
          '' :
          select_box(
              'over', sweep.keys.map((key) => ({value: key, label: key})), along,
              (value) => {
                along = value;
                choose_others();
                plot.update();
              },
              'sweep-key'),
      others,
      check_box(
          'Logarithmic', false,
          (on) => {
            logarithmic = on;
            plot.update();
          },
          'sweep-log')
    ],
    make() {
      const points = sweep.points.filter(
          (point) => sweep.keys.every(
              (key) => key === along || sweep.value(point, key) === fixed.get(key)));
      const labels = points.map((point) => sweep.value(point, along));
      const {label} = sweep.measures.find(({key}) => key === measure);
      const values =
          sweep.specs.map((spec) => points.map((point) => sweep.measure(point, measure, spec)));
      return {
        type: 'line',
        height: 380,
        data: {
          labels,
          datasets:
              sweep.specs.map((spec, i) => ({
                                label: spec,
                                ...line_look(backend_style(i)),
                                pointRadius: 5,
                                data: values[i].map((y) => (logarithmic && y === 0 ? null : y))
                              }))
        },
        options: {
          scales: {
            x: {...axis(words(along)), ticks: {color: ink().soft}, offset: labels.length === 1},
            y: axis(
                label, logarithmic ? {type: 'logarithmic', ticks: log_ticks} : {beginAtZero: true}),
          },
          plugins: {
            tooltip: {
              itemSort: (a, b) => b.raw - a.raw,
              callbacks: {
                title: (items) => (items.length > 0 ? `${along} = ${items[0].label}` : ''),
                label: ({dataset, raw}) => `${dataset.label}: ${exact(raw)}`
              }
            }
          },
        },
        summary: sweep.specs
                     .map(
                         (spec, i) => `${spec}: ${label} from ${exact(values[i][0])} at ${
                             labels[0]} to ${exact(values[i].at(-1))} at ${labels.at(-1)}.`)
                     .join(' '),
        note: `${label}. Values of ${along} are evenly spaced.`,
        columns: number_columns(along, sweep.specs),
        rows: () => points.map((_, p) => [labels[p], ...values.map((line) => line[p])]),
      };
    },
  });
  choose_others();
  plot.update();
  return plot.node;
}

/// The sweep's charts, and below them the whole report of one point, chosen in a select box.
function render_sweep(host, document) {
  const sweep = new Sweep(document);
  if (sweep.points.length === 0) {
    host.append(el('p', {class: 'problem'}, 'The sweep has no points.'));
    return;
  }
  section(host, 'sweep', 'Sweep', sweep_plot(sweep));
  const below = el('div', {id: 'point-report'});
  let own_plots = [];
  const show = (index) => {
    own_plots.forEach((plot) => {
      plot.chart?.destroy();
      plots.delete(plot);
    });
    const before = new Set(plots);
    below.replaceChildren();
    render_comparison(below, sweep.points[index].comparison);
    own_plots = [...plots].filter((plot) => !before.has(plot));
    fill_contents();
  };
  const chooser = select_box(
      'Point', sweep.points.map((point, i) => ({value: String(i), label: sweep.title(point)})),
      '0', (value) => {
        show(Number(value));
        announce(`Report of ${sweep.title(sweep.points[Number(value)])}`);
      }, 'point');
  section(host, 'points', 'Report of one point', el('div', {class: 'card controls'}, chooser));
  host.append(below);
  show(0);
}
