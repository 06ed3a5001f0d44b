// SPDX-License-Identifier: Apache-2.0
'use strict';

// Reading the document, which may lack any member, and writing numbers for people.

const kMissing = '–';

const own = (object, key) =>
    object !== null && typeof object === 'object' && Object.hasOwn(object, key) ? object[key] :
                                                                                  undefined;
const list = (value) => (Array.isArray(value) ? value : []);
const record = (value) =>
    value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {};
const finite = (value) => (typeof value === 'number' && Number.isFinite(value) ? value : null);
const amount = (value) => finite(value) ?? 0;
const text = (value) => (value === undefined || value === null ? '' : String(value));
const sum = (values) => values.reduce((total, value) => total + amount(value), 0);
const ratio = (part, whole) => (part !== null && whole > 0 ? part / whole : null);

const whole_format = new Intl.NumberFormat('en-US', {maximumFractionDigits: 0});
const digits_format =
    [3, 4].map((digits) => new Intl.NumberFormat('en-US', {maximumSignificantDigits: digits}));

/// "1,234,567"; fractions to four digits.
function exact(value) {
  const x = finite(value);
  if (x === null) return kMissing;
  if (Number.isInteger(x) || Math.abs(x) >= 1e4) return whole_format.format(x);
  return x !== 0 && Math.abs(x) < 1e-4 ? x.toExponential(2) : digits_format[1].format(x);
}

/// "1.23 M", three digits and an SI prefix.
function short(value) {
  const x = finite(value);
  if (x === null) return kMissing;
  const size = Math.abs(x);
  if (size !== 0 && size < 1e-3) return x.toExponential(1);
  for (const [limit, prefix] of [[1e15, 'P'], [1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
    if (size >= limit * 0.9995) return `${digits_format[0].format(x / limit)} ${prefix}`;
  }
  return digits_format[0].format(x);
}

const times = (value) => (finite(value) === null ? kMissing : `${exact(value)}×`);

/// "4 GiB" where that is exact enough to say, else bytes.
function bytes(value) {
  const x = finite(value);
  if (x === null) return kMissing;
  for (const [shift, unit] of [[30, 'GiB'], [20, 'MiB'], [10, 'KiB']]) {
    if (x >= 2 ** shift) return `${digits_format[1].format(x / 2 ** shift)} ${unit}`;
  }
  return `${exact(x)} B`;
}

const words = (name) => text(name).replaceAll('_', ' ');
const count_of = (n, one, many = `${one}s`) => `${exact(n)} ${n === 1 ? one : many}`;
const join_words = (items) =>
    (items.length < 2 ? items.join('') :
                        `${items.slice(0, -1).join(', ')} and ${items[items.length - 1]}`);
