// SPDX-License-Identifier: Apache-2.0

// Tables. A column is {label, kind: 'text' | 'number' | 'wrap', title}. A cell is a string, a
// number (shown exactly), or {text, value, title, data}, where `value` is what sorting looks at.

const cell_of = (cell) =>
    (typeof cell === 'object' && cell !== null ?
         cell :
         {text: typeof cell === 'string' ? cell : exact(cell), value: cell});

function make_cell(cell, column, first) {
  const {text: shown, value, title, data, description} = cell_of(cell);
  const properties = {title: title ?? description, data};
  const content = [shown];
  if (description) content.push(el('span', {class: 'description', hidden: true}, description));
  if (first) return el('th', {...properties, scope: 'row', class: 'row'}, ...content);
  const kind = column.kind === 'number' ? (value === 0 ? 'zero' : '') : `text ${column.kind}`;
  return el('td', {...properties, class: kind}, ...content);
}

function scroll_box(label, table) {
  return el('div', {class: 'scroll', role: 'region', 'aria-label': label, tabindex: 0}, table);
}

/// Rows as they come: the text alternative of a chart, and small tables.
function plain_table(label, columns, rows, kind = null) {
  return scroll_box(
      label,
      el('table', {class: kind}, el('caption', {class: 'unseen'}, label),
         el('thead', {},
            el('tr', {},
               ...columns.map(
                   (column) =>
                       el('th', {
                         scope: 'col',
                         class: column.kind === 'number' ? '' : 'text',
                         title: column.title
                       },
                          column.label)))),
         el('tbody', {},
            ...rows.map(
                (row) =>
                    el('tr', {}, ...row.map((cell, i) => make_cell(cell, columns[i], i === 0)))))));
}

/// A table that sorts by any column, filters by words, hides rows of zeros and shows descriptions.
class DataTable {
  /// `rows`: [{cells, zero, search}]; `rows_of`, if given, makes them anew for each choice of
  /// `modes`.
  constructor({id, label, columns, rows_of, modes = [], hides_zeros = true, describes = true}) {
    Object.assign(this, {id, label, columns, rows_of});
    this.mode = modes.length > 0 ? modes[0].value : undefined;
    this.sorted_by = -1;  // as in the document
    this.descending = false;
    this.filter = '';
    this.hide_zeros = hides_zeros;
    this.show_descriptions = false;
    this.body = el('tbody');
    this.count = el('span', {class: 'soft', id: `${id}-count`, role: 'status'});
    this.heads = columns.map(
        (column, i) =>
            el('th',
               {scope: 'col', class: column.kind === 'number' ? '' : 'text', title: column.title},
               el('button', {type: 'button', on: {click: () => this.sort(i)}}, column.label)));
    const search = el('input', {
      type: 'search',
      id: `${id}-filter`,
      placeholder: 'name or words',
      on: {
        input: () => {
          this.filter = search.value;
          this.update();
        }
      }
    });
    const controls = el('div', {class: 'controls above'}, el('label', {}, 'Filter', search));
    if (hides_zeros) {
      controls.append(check_box('Hide rows of zeros', true, (on) => {
        this.hide_zeros = on;
        this.update();
      }, `${id}-zeros`));
    }
    if (describes) {
      controls.append(check_box('Show descriptions', false, (on) => {
        this.show_descriptions = on;
        this.update();
      }, `${id}-descriptions`));
    }
    if (modes.length > 0) {
      controls.append(select_box('Numbers', modes, this.mode, (mode) => {
        this.mode = mode;
        this.update();
      }, `${id}-mode`));
    }
    controls.append(this.count);
    this.node =
        el('div', {class: 'card long', id}, controls,
           scroll_box(
               label,
               el('table', {}, el('caption', {class: 'unseen'}, label),
                  el('thead', {}, el('tr', {}, ...this.heads)), this.body)));
    this.update();
  }

  /// First click: numbers from the largest, names from A. Second: the other way. Third: as they
  /// came.
  sort(column) {
    const falls_first = this.columns[column].kind === 'number';
    if (this.sorted_by !== column) {
      this.sorted_by = column;
      this.descending = falls_first;
    } else if (this.descending === falls_first) {
      this.descending = !falls_first;
    } else {
      this.sorted_by = -1;
    }
    this.update();
  }

  update() {
    const all = this.rows_of(this.mode);
    const needles = this.filter.toLowerCase().split(/\s+/).filter((word) => word !== '');
    let rows = all.filter(
        (row) => !(this.hide_zeros && row.zero) &&
            needles.every((word) => row.search.toLowerCase().includes(word)));
    if (this.sorted_by >= 0) {
      const key = (row) => {
        const cell = cell_of(row.cells[this.sorted_by]);
        return cell.value ?? cell.text;
      };
      const order = (a, b) =>
          (typeof a === 'number' && typeof b === 'number' ? a - b :
                                                            text(a).localeCompare(text(b), 'en'));
      const sign = this.descending ? -1 : 1;
      rows = [...rows].sort((a, b) => sign * order(key(a), key(b)));
    }
    this.heads.forEach(
        (head, i) => head.setAttribute(
            'aria-sort',
            i !== this.sorted_by ? 'none' :
                this.descending  ? 'descending' :
                                   'ascending'));
    this.body.replaceChildren(...rows.map(
        (row) => el(
            'tr', {}, ...row.cells.map((cell, i) => make_cell(cell, this.columns[i], i === 0)))));
    for (const node of this.body.querySelectorAll('.description'))
      node.hidden = !this.show_descriptions;
    this.count.textContent = rows.length === all.length ?
        count_of(all.length, 'row') :
        `${exact(rows.length)} of ${count_of(all.length, 'row')}`;
  }
}
