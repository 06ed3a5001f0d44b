// SPDX-License-Identifier: Apache-2.0

// The head of the page: what was compared, under which options, and who won.

function option_text(key, value) {
  if (value === null || value === undefined) return kMissing;
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') return key === 'mem' || key.endsWith('bytes') ? bytes(value) : exact(value);
  return typeof value === 'object' ? JSON.stringify(value) : text(value);
}

/// Options by name; objects in them become groups of their own.
function option_lists(options) {
  const flat =
      Object.entries(record(options))
          .filter(
              ([, value]) => typeof value !== 'object' || value === null || Array.isArray(value));
  const nested =
      Object.entries(record(options)).filter(([, value]) => Object.keys(record(value)).length > 0);
  const rows = (entries) => definitions(
      'options',
      entries.map(
          ([key, value]) => [words(key.replace(/_bytes$/, '')), option_text(key, value), key]));
  return [
    flat.length > 0 ? rows(flat) : null,
    ...nested.flatMap(
        ([key,
          value]) => [el('h3', {}, `Options of the ${words(key)}`), rows(Object.entries(value))])
  ];
}

function verdict(comparison) {
  const ranking = comparison.ranking();
  if (ranking.length < 2) return null;
  const [best] = ranking;
  const others =
      ranking.slice(1).map(({spec, cycles}) => `${spec} ${times(ratio(cycles, best.cycles))}`);
  return el(
      'p', {class: 'verdict'}, 'Least modelled cycles: ', el('strong', {}, best.spec),
      `, ${exact(best.cycles)} a reference. Against it: ${join_words(others)}.`);
}

function trace_table(traces) {
  return plain_table(
      'Traces',
      [
        {label: 'Trace'}, {label: 'Program', kind: 'wrap'}, {label: 'Format', kind: 'text'},
        {label: 'Records', kind: 'number'}, {label: 'Events', kind: 'number'},
        {label: 'Note', kind: 'wrap'}
      ],
      traces.map(
          (trace) =>
              [text(own(trace, 'name')), text(own(trace, 'program')), text(own(trace, 'format')),
               finite(own(trace, 'records')), finite(own(trace, 'events')),
               text(own(trace, 'note'))]));
}

/// The section every comparison starts with.
function overview(host, comparison) {
  const {document, backends, specs, references} = comparison;
  const kinds = record(own(document, 'references'));
  const columns =
      [{label: 'Backend'}, ...kMeasures.map(({label, title}) => ({label, title, kind: 'number'}))];
  const rows = backends.map((_, i) => [specs[i], ...kMeasures.map(({of}) => ({
                                                                    text: exact(of(comparison, i)),
                                                                    value: of(comparison, i)
                                                                  }))]);
  const reference = specs[backends.findIndex((backend) => own(backend, 'relative') === 1)];
  const problems = backends.flatMap(
      (backend, i) =>
          list(own(backend, 'problems'))
              .map(
                  (problem) =>
                      el('p', {class: 'problem', role: 'note'}, el('strong', {}, `${specs[i]}: `),
                         typeof problem === 'object' ? JSON.stringify(problem) : text(problem))));
  const summary = definitions('summary', [
    ['References', short(references), exact(references)],
    ...Object.entries(kinds).map(([kind, n]) => [words(kind), short(n), exact(n)]),
    ['Backends', exact(backends.length)]
  ]);
  section(
      host, 'overview', 'Overview',
      el('div', {class: 'card long'}, verdict(comparison), summary, ...problems,
         plain_table('Backends compared', columns, rows, 'compact'),
         reference === undefined ?
             null :
             el('p', {class: 'soft'}, `Relative cost is against ${reference}.`)));
  const traces = list(own(document, 'traces'));
  section(
      host, 'setup', 'Traces and options',
      el('div', {class: 'card long'}, traces.length > 0 ? trace_table(traces) : null,
         ...option_lists(own(document, 'options'))));
}
