// SPDX-License-Identifier: Apache-2.0

// A chart as a figure: heading, controls, canvas, legend of buttons, and the same numbers as a
// table. `make` is called for each drawing and returns
//   {type, data, options, plugins, height, summary, note, columns, rows}
// where `summary` is what a screen reader says, and `columns` and `rows` are the table (rows: a
// function).

const plots = new Set();
const redraw_all = () => plots.forEach((plot) => plot.update());

class Plot {
  constructor({id, title, controls = [], below = null, make}) {
    Object.assign(this, {id, make});
    this.hidden = new Set();
    this.cursor = -1;
    this.note = el('p', {class: 'note', id: `${id}-note`});
    this.box = el('div', {class: 'plot'});
    this.legend = el('ul', {class: 'legend', 'aria-label': `Legend of ${title}`});
    this.numbers =
        el('details', {on: {toggle: () => this.fill_numbers()}},
           el('summary', {}, 'Numbers of this chart'));
    this.title = title;
    this.node =
        el('figure', {id: `${id}-figure`},
           el('figcaption', {}, el('h3', {}, title), el('div', {class: 'controls'}, ...controls)),
           this.note, this.legend, this.box, below, this.numbers);
    plots.add(this);
  }

  /// Draws, or draws anew: after a control, the colour scheme or the data changed.
  update() {
    this.chart?.destroy();
    const made = this.made = this.make();
    const canvas = el('canvas', {
      id: this.id,
      role: 'img',
      tabindex: 0,
      'aria-label': `${this.title}. ${made.summary} Arrow keys step through the values.`,
      on: {keydown: (event) => this.key(event), blur: () => this.point_at(-1)}
    });
    this.box.replaceChildren(canvas);
    this.box.style.height = `${made.height}px`;
    this.note.textContent = made.note ?? '';
    for (const dataset of made.data.datasets) dataset.hidden = this.hidden.has(dataset.label);
    this.chart = new Chart(canvas, {
      type: made.type,
      data: made.data,
      plugins: made.plugins ?? [],
      options: {
        responsive: true,
        maintainAspectRatio: false,
        animation: false,
        normalized: true,
        interaction: {mode: 'index', intersect: false, axis: made.options.indexAxis ?? 'x'},
        ...made.options,
        plugins: {
          legend: {display: false},
          ...made.options.plugins,
          tooltip: {usePointStyle: made.type === 'line', ...made.options.plugins?.tooltip}
        },
      },
    });
    this.fill_legend();
    this.fill_numbers();
  }

  fill_legend() {
    const shown = this.made.data.datasets.filter((dataset) => !dataset.unlisted);
    this.legend.replaceChildren(...(shown.length < 2 ? [] : shown.map((dataset) => {
      const swatch = el('canvas', {width: 52, height: 28, 'aria-hidden': 'true'});
      draw_swatch(swatch, dataset, this.made.type);
      const button =
          el('button', {
            type: 'button',
            title: `Show or hide ${dataset.label}`,
            'aria-pressed': String(!this.hidden.has(dataset.label)),
            on: {click: () => this.toggle(dataset.label)}
          },
             swatch, dataset.label);
      return el('li', {}, button);
    })));
  }

  toggle(label) {
    if (!this.hidden.delete(label)) this.hidden.add(label);
    const position =
        this.made.data.datasets.filter((d) => !d.unlisted).findIndex((d) => d.label === label);
    this.update();
    this.legend.querySelectorAll('button')[position]?.focus();
  }

  /// Only when someone looks: a long replay has many points.
  fill_numbers() {
    this.numbers.querySelector('.scroll')?.remove();
    if (this.numbers.open) {
      this.numbers.append(
          plain_table(`Numbers of ${this.title}`, this.made.columns, this.made.rows()));
    }
  }

  key(event) {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    const last =
        Math.max(...this.made.data.datasets.filter((d) => !d.unlisted).map((d) => d.data.length)) -
        1;
    if (event.key === 'Escape') {
      this.point_at(-1);
    } else if (step !== undefined || event.key === 'Home' || event.key === 'End') {
      event.preventDefault();
      this.point_at(
          event.key === 'Home'    ? 0 :
              event.key === 'End' ? last :
                                    Math.min(last, Math.max(0, this.cursor + step)));
    }
  }

  /// Shows the values at `index` as the pointer would, and says them; -1 for none.
  point_at(index) {
    if (index === this.cursor || !this.chart.ctx) return;
    this.cursor = index;
    const chosen = [];
    this.made.data.datasets.forEach((dataset, i) => {
      if (index >= 0 && index < dataset.data.length && !dataset.unlisted &&
          this.chart.isDatasetVisible(i)) {
        chosen.push({datasetIndex: i, index});
      }
    });
    this.chart.setActiveElements(chosen);
    this.chart.tooltip.setActiveElements(chosen, {x: 0, y: 0});
    this.chart.update('none');
    const {title = [], body = []} = this.chart.tooltip;
    if (chosen.length > 0) announce([...title, ...body.flatMap((item) => item.lines)].join('; '));
  }
}

function draw_swatch(canvas, dataset, type) {
  const draw = canvas.getContext('2d');
  draw.scale(2, 2);
  if (type === 'bar') {
    draw.fillStyle = dataset.backgroundColor;
    draw.fillRect(1, 1, 24, 12);
    draw.strokeStyle = dataset.borderColor;
    draw.strokeRect(0.5, 0.5, 25, 13);
    return;
  }
  draw.strokeStyle = dataset.borderColor;
  draw.fillStyle = dataset.borderColor;
  draw.lineWidth = 2.2;
  draw.setLineDash(dataset.borderDash ?? []);
  draw.beginPath();
  draw.moveTo(0, 7);
  draw.lineTo(26, 7);
  draw.stroke();
  draw.setLineDash([]);
  Chart.helpers.drawPoint(draw, {pointStyle: dataset.pointStyle, radius: 4, borderWidth: 2}, 13, 7);
}

/// Options of one axis with our colours and numbers.
function axis(title, extra = {}) {
  const {text: strong, soft, grid} = ink();
  return {
    ...extra,
    title: {display: title !== '', text: title, color: strong},
    ticks: {color: soft, callback: (value) => short(value), ...extra.ticks},
    grid: {color: grid, borderColor: soft, ...extra.grid},
  };
}

/// A logarithmic axis labels powers of ten, and 2 and 5 where there is room.
const log_ticks = {
  callback(value) {
    const lead = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
    const near = (n) => Math.abs(lead - n) < 1e-6;
    const decades = Math.log10(this.max / this.min);
    return near(1) || (decades < 3 && (near(2) || near(5))) ? short(value) : null;
  },
  autoSkip: true,
  maxRotation: 0,
};

/// Category labels as wide as half a narrow screen at most.
const clipped = (label, width = 26) =>
    (label.length > width ? `${label.slice(0, width - 1)}…` : label);
const category_axis = (labels) => axis('', {
  grid: {display: false},
  ticks: {
    color: ink().text,
    autoSkip: false,
    callback: (value) => clipped(labels[value] ?? '', window.innerWidth < 640 ? 15 : 34)
  }
});
