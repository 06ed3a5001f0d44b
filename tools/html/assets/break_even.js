// SPDX-License-Identifier: Apache-2.0

// The model is linear in the price of an exit: total(f) = fixed + f * exits. So each backend is a
// straight line (bent only by the logarithmic axis), and where two cross, they cost the same.

const kLeastFactor = 0.1;
const kMostFactor = 10;

/// Crossings from the smallest factor on, then who is ahead of whom at any price.
function crossing_list(comparison, crossings) {
  const {specs} = comparison;
  const met = crossings.filter(({factor}) => factor !== null).sort((x, y) => x.factor - y.factor);
  const ahead = new Map();
  for (const {a, b} of crossings.filter(({factor}) => factor === null)) {
    const order =
        amount(comparison.cost_at(a, 1)) <= amount(comparison.cost_at(b, 1)) ? [a, b] : [b, a];
    ahead.set(order[0], [...(ahead.get(order[0]) ?? []), specs[order[1]]]);
  }
  return el(
      'ul', {class: 'crossings', id: 'crossings'}, ...met.map(({a, b, factor}) => {
        const fewer =
            amount(comparison.cost(a, 'exits')) < amount(comparison.cost(b, 'exits')) ? a : b;
        return el(
            'li', {}, `${specs[a]} and ${specs[b]}: at `, el('strong', {}, times(factor)),
            `; when exits cost more, ${specs[fewer]} is ahead`);
      }),
      ...[...ahead].map(
          ([a, behind]) =>
              el('li', {}, `${specs[a]} is ahead of ${join_words(behind)} at any price`)));
}

/// Vertical line at the factor that the slider chose, and names at the crossings.
const crossing_marks = (factor_now) => ({
  id: 'crossing_marks',
  afterDatasetsDraw(chart) {
    const {ctx, chartArea, scales} = chart;
    ctx.save();
    ctx.strokeStyle = ink().soft;
    ctx.setLineDash([4, 4]);
    const x = scales.x.getPixelForValue(factor_now());
    ctx.beginPath();
    ctx.moveTo(x, chartArea.top);
    ctx.lineTo(x, chartArea.bottom);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.font = '600 12px system-ui, sans-serif';
    const taken = [];
    const points = chart.data.datasets.find((dataset) => dataset.unlisted)?.data ?? [];
    for (const point of points.filter(
             (p) => chart.isDatasetVisible(p.a) && chart.isDatasetVisible(p.b))) {
      const at = {x: scales.x.getPixelForValue(point.x), y: scales.y.getPixelForValue(point.y)};
      if (at.y < chartArea.top || at.y > chartArea.bottom) continue;
      ctx.beginPath();
      ctx.arc(at.x, at.y, 5, 0, 2 * Math.PI);
      ctx.fillStyle = ink().card;
      ctx.fill();
      ctx.strokeStyle = ink().text;
      ctx.lineWidth = 2;
      ctx.stroke();
      // A label goes above its point, below it if another is there already.
      const label = times(point.x);
      const width = ctx.measureText(label).width;
      const left =
          Math.min(Math.max(at.x - width / 2, chartArea.left + 2), chartArea.right - width - 2);
      const spot = [-14, 18, -30, 34]
                       .map((dy) => ({left, right: left + width, y: at.y + dy}))
                       .find(
                           (box) => taken.every(
                               (other) => Math.abs(other.y - box.y) > 13 ||
                                   other.right < box.left || box.right < other.left));
      if (spot === undefined) continue;
      taken.push(spot);
      ctx.textBaseline = 'middle';
      ctx.lineWidth = 4;
      ctx.strokeStyle = ink().card;
      ctx.strokeText(label, spot.left, spot.y);
      ctx.fillStyle = ink().text;
      ctx.fillText(label, spot.left, spot.y);
    }
    ctx.restore();
  },
});

function break_even_plot(comparison) {
  const {specs} = comparison;
  const known = specs.map((_, i) => i).filter((i) => comparison.cost(i, 'total') !== null);
  const factors =
      Array.from({length: 81}, (_, i) => Number((kLeastFactor * 100 ** (i / 80)).toPrecision(4)));
  const crossings = comparison.break_evens();
  let factor = 1;
  // Where the dearest hides the rest, a logarithmic axis is the better start.
  const ends =
      known.flatMap((i) => [kLeastFactor, kMostFactor].map((f) => comparison.cost_at(i, f)));
  let logarithmic = Math.min(...ends) > 0 && Math.max(...ends) > 6 * Math.min(...ends);

  const ranking = el('ol', {class: 'ranking', id: 'ranking'});
  const shown_factor = el('output', {for: 'factor', id: 'factor-value'
  });
  const slider = el('input', {
    type: 'range',
    id: 'factor',
    min: -1,
    max: 1,
    step: 0.01,
    value: 0,
    on: {input: () => rank()}
  });
  const rank = () => {
    factor = Number((10 ** Number(slider.value)).toPrecision(3));
    shown_factor.textContent = times(factor);
    slider.setAttribute('aria-valuetext', `${exact(factor)} times`);
    const order = comparison.ranking(factor);
    ranking.replaceChildren(...order.map(
        ({spec, cycles}, place) => el(
            'li', {}, el('span', {class: 'name'}, spec), `: ${exact(cycles)} cycles per reference`,
            place === 0 ? '' : ` (${times(ratio(cycles, order[0].cycles))})`)));
    if (plot.chart) plot.chart.draw();
  };
  const plot = new Plot({
    id: 'plot-break-even',
    title: 'What if an exit cost more, or less?',
    controls: [check_box(
        'Logarithmic cycles', logarithmic,
        (on) => {
          logarithmic = on;
          plot.update();
        },
        'break-even-log')],
    below: el(
        'div', {},
        el('div', {class: 'controls'}, el('label', {class: 'slider'}, 'Exits cost', slider),
           shown_factor),
        el('div', {class: 'columns'}, el('div', {}, el('h4', {}, 'Ranking at this price'), ranking),
           el('div', {}, el('h4', {}, 'Where two cost the same'),
              crossing_list(comparison, crossings)))),
    make() {
      const inside =
          crossings.filter(({factor: f}) => f !== null && f >= kLeastFactor && f <= kMostFactor);
      const marks = inside
                        .map(({a, b, factor: f}) => ({
                               x: f,
                               y: comparison.cost_at(a, f),
                               a: known.indexOf(a),
                               b: known.indexOf(b)
                             }))
                        .filter(({a, b}) => a >= 0 && b >= 0);
      return {
        type: 'line',
        height: 380,
        data: {
          datasets: [
            ...known.map((i) => ({
                           label: specs[i],
                           data: factors.map((f) => ({x: f, y: comparison.cost_at(i, f)})),
                           ...line_look(backend_style(i), i, specs.length, factors.length)
                         })),
            {
              label: 'same cost',
              unlisted: true,
              type: 'scatter',
              data: marks,
              pointRadius: 0,
              pointHitRadius: 0
            }
          ]
        },
        plugins: [crossing_marks(() => factor)],
        options: {
          layout: {padding: {right: 12}},
          scales: {
            x: axis('price of an exit against the model', {
              type: 'logarithmic',
              min: kLeastFactor,
              max: kMostFactor,
              ticks: {
                ...log_ticks,
                callback(value) {
                  const shown = log_ticks.callback.call(this, value);
                  return shown === null ? null : `${shown}×`;
                }
              }
            }),
            y: axis(
                'cycles per reference',
                logarithmic ? {type: 'logarithmic', ticks: log_ticks} : {beginAtZero: true}),
          },
          plugins: {
            tooltip: {
              filter: (item) => !item.dataset.unlisted,
              itemSort: (a, b) => b.raw.y - a.raw.y,
              callbacks: {
                title: (items) => (items.length > 0 ? `exits at ${times(items[0].raw.x)}` : ''),
                label: ({dataset, raw}) => `${dataset.label}: ${exact(raw.y)}`
              }
            }
          },
        },
        summary: [...crossing_list(comparison, crossings).children]
                     .map((item) => item.textContent)
                     .join(' '),
        note:
            'Rings mark where two backends cost the same. Move the slider to rank them at another price.',
        columns: number_columns('Factor', known.map((i) => specs[i])),
        rows: () => factors.filter((_, i) => i % 4 === 0)
                        .map((f) => [times(f), ...known.map((i) => comparison.cost_at(i, f))]),
      };
    },
  });
  rank();
  plot.update();
  return plot.node;
}
