// SPDX-License-Identifier: Apache-2.0

// What the charts and tables ask of a document of the schema gnomon.compare/2.

const kDimensions = ['guest', 'host', 'shadow'];
const kCacheHits = ['L1', 'L2', 'last level', 'memory'];

class Comparison {
  constructor(document) {
    this.document = document;
    this.backends = list(own(document, 'backends')).map(record);
    this.specs = this.unique_names(this.backends.map((backend) => text(own(backend, 'spec'))));
    this.references =
        sum(['fetch', 'load', 'store'].map((kind) => own(own(document, 'references'), kind)));
    this.counter_info = new Map(
        list(own(document, 'counter_info')).map((row) => [text(own(row, 'name')), record(row)]));
    for (const backend of this.backends) {  // a counter that nobody describes is still shown
      for (const name of Object.keys(record(own(backend, 'counters')))) {
        if (!this.counter_info.has(name)) this.counter_info.set(name, {name});
      }
    }
    this.groups =
        list(own(document, 'cost_groups')).map((row) => ({
                                                 name: text(own(row, 'name')),
                                                 description: text(own(row, 'description'))
                                               }));
    for (const backend of this.backends) {
      for (const name of Object.keys(record(own(own(backend, 'cost'), 'groups')))) {
        if (!this.groups.some((group) => group.name === name))
          this.groups.push({name, description: ''});
      }
    }
  }

  /// A backend given twice gets a number, since legends and tables go by name.
  unique_names(names) {
    const seen = new Map();
    return names.map((name) => {
      const before = seen.get(name) ?? 0;
      seen.set(name, before + 1);
      return before === 0 ? name || '(unnamed)' : `${name} (${before + 1})`;
    });
  }

  counter(i, name) {
    return finite(own(own(this.backends[i], 'counters'), name));
  }
  cost(i, member) {
    return finite(own(own(this.backends[i], 'cost'), member));
  }
  group(i, name) {
    return finite(own(own(own(this.backends[i], 'cost'), 'groups'), name));
  }
  has_costs() {
    return this.backends.some((_, i) => this.cost(i, 'total') !== null);
  }
  per_reference(value, scale = 1) {
    return value === null ? null : ratio(value * scale, this.references);
  }

  exit_reasons() {
    return [...this.counter_info.keys()].filter((name) => name.startsWith('exit_'));
  }
  exits(i) {
    return sum(this.exit_reasons().map((name) => this.counter(i, name)));
  }

  /// References of page walks in one dimension, over the levels.
  walk_references(i, dimension) {
    return sum([1, 2, 3, 4, 5].map((level) => this.counter(i, `walk_${dimension}_l${level}`)));
  }
  all_walk_references(i) {
    return sum(kDimensions.map((d) => this.walk_references(i, d)));
  }

  /// Cycles per reference were exits `factor` times as dear.
  cost_at(i, factor) {
    const total = this.cost(i, 'total');
    const exits = this.cost(i, 'exits');
    return total === null ? null : this.per_reference(total + (factor - 1) * amount(exits));
  }

  /// Backends from the cheapest on, at one factor.
  ranking(factor = 1) {
    return this.backends.map((_, i) => ({i, spec: this.specs[i], cycles: this.cost_at(i, factor)}))
        .filter(({cycles}) => cycles !== null)
        .sort((a, b) => a.cycles - b.cycles);
  }

  /// Pairs that cost the same at some factor: as the document says, else from the totals.
  break_evens() {
    const given = own(this.document, 'break_even');
    if (Array.isArray(given)) {
      return given
          .map((row) => ({
                 a: this.specs.indexOf(text(own(row, 'a'))),
                 b: this.specs.indexOf(text(own(row, 'b'))),
                 factor: finite(own(row, 'factor'))
               }))
          .filter(({a, b}) => a >= 0 && b >= 0 && a !== b);
    }
    const pairs = [];
    const known = this.backends.map((_, i) => i).filter((i) => this.cost(i, 'total') !== null);
    for (const a of known) {
      for (const b of known.filter((other) => other > a)) {
        const exits = amount(this.cost(a, 'exits')) - amount(this.cost(b, 'exits'));
        const rest = this.cost(a, 'total') - this.cost(b, 'total') - exits;
        const factor = exits === 0 ? null : -rest / exits;
        pairs.push({a, b, factor: factor !== null && factor > 0 ? factor : null});
      }
    }
    return pairs;
  }
}

/// What a sweep can be drawn by, and the overview shows. `of(comparison, i)` is a number or null.
const kMeasures = [
  {
    key: 'cycles',
    label: 'Cycles per reference',
    title: 'modelled cycles for each memory reference of the program',
    of: (c, i) => c.per_reference(c.cost(i, 'total'))
  },
  {
    key: 'relative',
    label: 'Relative cost',
    title: 'modelled cycles against the reference backend',
    of: (c, i) => finite(own(c.backends[i], 'relative'))
  },
  {
    key: 'exits',
    label: 'Exits per million references',
    title: 'transitions to the VMM, all reasons together',
    of: (c, i) => c.per_reference(c.exits(i), 1e6)
  },
  {
    key: 'misses',
    label: 'TLB misses per 1,000 references',
    title: 'accesses that needed a page walk',
    of: (c, i) => c.per_reference(c.counter(i, 'tlb_misses'), 1e3)
  },
  {
    key: 'walk',
    label: 'Walk references per TLB miss',
    title: 'table entries read, all dimensions together',
    of: (c, i) => ratio(c.all_walk_references(i), amount(c.counter(i, 'tlb_misses')))
  },
  {
    key: 'faults',
    label: 'Guest faults',
    title: 'page faults delivered to the guest',
    of: (c, i) => c.counter(i, 'guest_faults')
  },
  {
    key: 'table_bytes',
    label: 'Table memory, peak bytes',
    title: 'memory of shadow or nested tables',
    of: (c, i) => c.counter(i, 'table_bytes_peak')
  },
];
