// The generator of explore-weights.js, drawing in the browser. Without it the page says so.
"use strict";

// ---- The network ----

// A half-precision number from its 16 bits: sign, 5 of the exponent, 10 of the fraction.
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = bits >> 10 & 31, fraction = bits & 1023;
  return exponent ? sign * 2 ** (exponent - 25) * (1024 + fraction) : sign * 2 ** -24 * fraction;
}

const HALVES = Float32Array.from({length: 65536}, (_, bits) => half(bits));

function decode(base64) {
  const bytes = atob(base64), numbers = new Float32Array(bytes.length / 2);
  for (let i = 0; i < numbers.length; i++)
    numbers[i] = HALVES[bytes.charCodeAt(2 * i) | bytes.charCodeAt(2 * i + 1) << 8];
  return numbers;
}

const ACTIVATIONS = {
  relu: value => Math.max(0, value),
  sigmoid: value => 1 / (1 + Math.exp(-value)),
};
const {shape: [ROWS, COLUMNS], dimension: DIMENSION, bound: BOUND} = GENERATOR;
const NETWORK = GENERATOR.layers.map(({layer, weight, bias}) =>
  ({activation: ACTIVATIONS[layer], weight: decode(weight), bias: decode(bias)}));

// G(z): the pixels of an image, row by row, from 0 to 1.
function generate(z) {
  let x = z;
  for (const {activation, weight, bias} of NETWORK) {
    const sums = bias.slice(), units = sums.length;
    for (let i = 0; i < x.length; i++) {
      if (x[i] === 0) continue; // most of what relu leaves
      for (let j = 0; j < units; j++) sums[j] += x[i] * weight[i * units + j];
    }
    x = sums.map(activation);
  }
  return x;
}

// ---- The noise ----

// Mulberry32, a small generator of random numbers: the same seed gives the same numbers anywhere.
function random(seed) {
  let state = seed | 0;
  return () => {
    state = state + 0x6D2B79F5 | 0;
    let t = Math.imul(state ^ state >>> 15, 1 | state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  };
}

// The z of a seed, uniform between -BOUND and BOUND.
function draw(seed) {
  const next = random(seed);
  return Float32Array.from({length: DIMENSION}, () => (2 * next() - 1) * BOUND);
}

// The point on the straight line from a to b after a share of the way.
function between(a, b, share) {
  return a.map((value, i) => (1 - share) * value + share * b[i]);
}

// ---- The page ----

const STEPS = 10; // from one image of a strip to the next, as in the paper's figure 3
const SHEET = 10; // draws to pick from
const SEEDS = 2 ** 32;
const SIDES = ["left", "right"];
const ends = {left: 3, right: 8}; // seeds
let first = 0; // seed of the sheet

const $ = id => document.getElementById(id);

// Paint G(z) into a canvas, as the image of that number from the left.
function paint(canvas, z, place = 0) {
  const image = new ImageData(COLUMNS, ROWS);
  generate(z).forEach((value, i) => image.data.set([255 * value, 255 * value, 255 * value, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, place * COLUMNS, 0);
}

function size(canvas, images = 1) {
  canvas.width = images * COLUMNS;
  canvas.height = ROWS;
  return canvas;
}

function showPoint() {
  const share = $("way").value / 100;
  paint($("point"), between(draw(ends.left), draw(ends.right), share));
  $("share").textContent = `${$("way").value} %`;
  $("way").setAttribute("aria-valuetext", `${$("way").value} % of the way`);
}

function showLine() {
  for (const side of SIDES) {
    paint($(`${side}-image`), draw(ends[side]));
    $(`${side}-image`).setAttribute("aria-label", `The ${side} end, the draw of seed ${ends[side]}`);
    $(`${side}-seed`).value = ends[side];
  }
  for (let step = 0; step <= STEPS; step++)
    paint($("strip"), between(draw(ends.left), draw(ends.right), step / STEPS), step);
  showPoint();
}

function setEnd(side, seed) {
  ends[side] = (seed + SEEDS) % SEEDS;
  showLine();
}

const chosen = () => SIDES.find(side => $(`pick-${side}`).checked);

function showSheet() {
  [...$("sheet").children].forEach((button, i) => {
    const seed = (first + i) % SEEDS;
    paint(button.firstChild, draw(seed));
    button.lastChild.textContent = seed;
    button.setAttribute("aria-label", `Seed ${seed}: make it the ${chosen()} end`);
    button.onclick = () => setEnd(chosen(), seed);
  });
}

function turn(seed) {
  first = (seed + SEEDS) % SEEDS;
  showSheet();
}

const anySeed = () => Math.floor(Math.random() * 1e6);

for (const side of SIDES) {
  size($(`${side}-image`));
  const box = $(`${side}-seed`);
  box.oninput = () => { if (box.value && box.checkValidity()) setEnd(side, Number(box.value)); };
  box.onchange = () => { box.value = ends[side]; }; // what is no seed goes back to what is shown
  $(`${side}-previous`).onclick = () => setEnd(side, ends[side] - 1);
  $(`${side}-next`).onclick = () => setEnd(side, ends[side] + 1);
  $(`${side}-any`).onclick = () => setEnd(side, anySeed());
  $(`pick-${side}`).onchange = showSheet;
}
$("way").oninput = showPoint;
$("sheet-previous").onclick = () => turn(first - SHEET);
$("sheet-next").onclick = () => turn(first + SHEET);
$("sheet-any").onclick = () => turn(anySeed());
for (let i = 0; i < SHEET; i++) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(size(document.createElement("canvas")), document.createElement("span"));
  $("sheet").append(button);
}
size($("point"));
size($("strip"), STEPS + 1);
showLine();
showSheet();
$("absent").hidden = true;
$("play").hidden = false;
