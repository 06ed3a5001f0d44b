// SPDX-License-Identifier: Apache-2.0

// Colours after Okabe and Ito, which people with the common colour deficiencies can tell apart;
// and, since colour is never alone, a pattern for each fill and a dash and a marker for each line.

const dark_query = window.matchMedia('(prefers-color-scheme: dark)');
let printing = false;
const is_dark = () => dark_query.matches && !printing;

const kLightColours = {
  grey: '#8d949e',
  sky: '#56b4e9',
  green: '#009e73',
  blue: '#0072b2',
  purple: '#cc79a7',
  yellow: '#e8d21d',
  red: '#d55e00',
  orange: '#e69f00',
};
const kDarkColours = {
  grey: '#8b939e',
  sky: '#6cc4f5',
  green: '#1cb98d',
  blue: '#4091d6',
  purple: '#dd92bd',
  yellow: '#efe36a',
  red: '#ee7b35',
  orange: '#f0b13a',
};
const colour = (name) => (is_dark() ? kDarkColours : kLightColours)[name];
const ink = () => ({
  text: is_dark() ? '#e7eaee' : '#1b1f24',
  soft: is_dark() ? '#a3acb8' : '#565e69',
  grid: is_dark() ? '#2e353f' : '#e3e7ec',
  card: is_dark() ? '#191d23' : '#ffffff',
});

const kBackendStyles = [
  {colour: 'blue', dash: [], point: 'circle'},
  {colour: 'red', dash: [9, 4], point: 'rect'},
  {colour: 'green', dash: [2, 3], point: 'triangle'},
  {colour: 'purple', dash: [11, 3, 2, 3], point: 'rectRot'},
  {colour: 'orange', dash: [5, 3], point: 'star'},
  {colour: 'sky', dash: [14, 5], point: 'crossRot'},
  {colour: 'grey', dash: [2, 6], point: 'cross'},
  {colour: 'yellow', dash: [8, 3, 2, 3, 2, 3], point: 'rectRounded'},
];
/// The ninth repeats the colours with the next pattern, so that no two look the same.
const backend_style = (i) => {
  const turn = Math.floor(i / kBackendStyles.length);
  const base = kBackendStyles[i % kBackendStyles.length];
  const other = kBackendStyles[(i + turn) % kBackendStyles.length];
  return {colour: base.colour, dash: other.dash, point: other.point, pattern: i + turn};
};

const kGroupStyles = {
  program: ['grey', 0],
  tlb: ['sky', 4],
  guest_walk: ['green', 1],
  host_walk: ['blue', 2],
  shadow_walk: ['purple', 3],
  guest_kernel: ['yellow', 6],
  exits: ['red', 5],
  vmm_work: ['orange', 7],
};
const group_style = (name, i) => {
  const [shade, pattern] =
      own(kGroupStyles, name) ?? [Object.keys(kLightColours)[i % 8], (i + Math.floor(i / 8)) % 8];
  return {colour: shade, pattern};
};

/// Lines of a 10 x 10 tile, each [x1, y1, x2, y2]; `dot` draws dots instead.
const kTiles = [
  [],
  [[-2, 12, 12, -2], [-2, 2, 2, -2], [8, 12, 12, 8]],
  [[-2, -2, 12, 12], [8, -2, 12, 2], [-2, 8, 2, 12]],
  'dots',
  [[0, 5, 10, 5]],
  [[-2, 12, 12, -2], [-2, -2, 12, 12]],
  [[5, 0, 5, 10]],
  [[5, 0, 5, 10], [0, 5, 10, 5]],
];

function fill_of(shade, pattern) {
  const tile = kTiles[pattern % kTiles.length];
  if (tile.length === 0) return colour(shade);
  const canvas = el('canvas', {width: 10, height: 10});
  const draw = canvas.getContext('2d');
  draw.fillStyle = colour(shade);
  draw.fillRect(0, 0, 10, 10);
  draw.strokeStyle = draw.fillStyle =
      is_dark() ? 'rgba(16, 19, 23, 0.6)' : 'rgba(255, 255, 255, 0.62)';
  draw.lineWidth = 1.4;
  if (tile === 'dots') {
    for (const [x, y] of [[2.5, 2.5], [7.5, 7.5]]) {
      draw.beginPath();
      draw.arc(x, y, 1.3, 0, 2 * Math.PI);
      draw.fill();
    }
  } else {
    for (const [x1, y1, x2, y2] of tile) {
      draw.beginPath();
      draw.moveTo(x1, y1);
      draw.lineTo(x2, y2);
      draw.stroke();
    }
  }
  return draw.createPattern(canvas, 'repeat');
}

const bar_look = ({colour: shade, pattern}) => ({
  backgroundColor: fill_of(shade, pattern),
  borderColor: colour(shade),
  borderWidth: 1,
});
/// Markers on some of `points` values, at other places for each of the `lines`, so that lines which
/// cover each other can be told apart.
const line_look = ({colour: shade, dash, point}, line = 0, lines = 1, points = 1) => {
  const step = Math.max(1, Math.round(points / 7));
  const first = Math.round((line * step) / lines);
  return {
    borderColor: colour(shade),
    backgroundColor: colour(shade),
    borderDash: dash,
    pointStyle: point,
    borderWidth: 2.2,
    pointHoverRadius: 6,
    pointRadius: ({dataIndex}) => (dataIndex % step === first % step ? 4.5 : 0),
  };
};
