"use strict";

// Tables: a button in each header sorts by its column; numbers as numbers, a dash stays last.
function key(row, column) {
  const text = row.cells[column].textContent.trim();
  return text === "-" ? null : text !== "" && isFinite(text) ? Number(text) : text.toLowerCase();
}

function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  return sign * (a < b ? -1 : a > b ? 1 : 0);
}

function sortBy(table, header) {
  const column = header.cellIndex;
  const body = table.tBodies[0];
  const sign = header.ariaSort === "ascending" ? -1 : 1;
  for (const other of header.parentElement.cells) other.ariaSort = "none";
  header.ariaSort = sign > 0 ? "ascending" : "descending";
  const rows = [...body.rows].map((row) => [key(row, column), row]);
  rows.sort((a, b) => compare(a[0], b[0], sign));
  body.append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const header of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sortBy(table, header));
    header.append(button);
    header.ariaSort = "none";
  }
}

// Light and dark: the reader's system decides until the button is pressed.
const theme = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  return (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
}

function showTheme() {
  theme.ariaPressed = String(isDark());
}

theme.hidden = false;
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
});
dark.addEventListener("change", showTheme);
showTheme();

// Gallery: one large image, all of them in a strip, a layer (image, entropy, prediction...) for all.
const { layers, images } = JSON.parse(document.getElementById("gallery-data").textContent);
const gallery = document.getElementById("gallery");
const large = document.getElementById("shown");
const words = document.getElementById("words");
const strip = document.getElementById("strip");
const order = document.getElementById("order");
const layerButtons = [...document.querySelectorAll("#layers button")];
const thumbs = new Map();
let sorted = [...images];
let current = images[0];
let layer = 0;

function put(image, one) {
  const address = one.layers[layer];
  image.hidden = address === null;
  if (address !== null) image.src = address;
  image.classList.toggle("pixels", layers[layer].map);
}

function describe(one) {
  const right = Object.entries(one.models ?? {}).map(([name, value]) => `${name} ${value}`).join(", ");
  const place = `${sorted.indexOf(one) + 1} of ${sorted.length}: ${one.name}, ${one.subset}, entropy ${one.entropy}`;
  const missing = one.layers[layer] === null ? "; this image has no label" : "";
  return `${place}${right ? `; right pixels in percent: ${right}` : ""}${missing}`;
}

function show() {
  put(large, current);
  large.alt = `${layers[layer].name} of ${current.name}`;
  words.textContent = describe(current);
  layerButtons.forEach((button, number) => { button.ariaPressed = String(number === layer); });
  for (const [one, thumb] of thumbs) {
    thumb.setAttribute("aria-current", String(one === current));
  }
}

function choose(one) {
  current = one;
  show();
  const thumb = thumbs.get(one);
  strip.scrollTo({ left: thumb.offsetLeft - strip.offsetLeft - strip.clientWidth / 2 + thumb.clientWidth / 2 });
}

function step(by) {
  const place = sorted.indexOf(current) + by;
  if (place >= 0 && place < sorted.length) choose(sorted[place]);
}

function switchTo(number) {
  layer = number;
  for (const [one, thumb] of thumbs) put(thumb.querySelector("img"), one);
  show();
}

function sortImages() {
  const [field, direction] = order.value.split(" ");
  const sign = direction === "up" ? 1 : -1;
  sorted = [...images].sort((a, b) => compare(a[field], b[field], sign));
  strip.append(...sorted.map((one) => thumbs.get(one).parentElement));
  choose(sorted[0]);
}

for (const one of images) {
  const item = document.createElement("li");
  const thumb = document.createElement("button");
  const image = document.createElement("img");
  thumb.type = "button";
  image.alt = one.name;
  thumb.append(image, `${one.subset} ${one.entropy.toFixed(3)}`);
  thumb.addEventListener("click", () => choose(one));
  item.append(thumb);
  strip.append(item);
  thumbs.set(one, thumb);
}
layerButtons.forEach((button, number) => button.addEventListener("click", () => switchTo(number)));
document.getElementById("before").addEventListener("click", () => step(-1));
document.getElementById("after").addEventListener("click", () => step(1));
order.addEventListener("change", sortImages);

document.addEventListener("keydown", (event) => {
  const focused = document.activeElement;
  const ours = focused === document.body || gallery.contains(focused);
  if (!ours || focused === order || event.ctrlKey || event.altKey || event.metaKey) return;
  const number = Number(event.key) - 1;
  if (event.key === "ArrowLeft") step(-1);
  else if (event.key === "ArrowRight") step(1);
  else if (event.key !== " " && number >= 0 && number < layers.length) switchTo(number);
  else return;
  if (strip.contains(focused)) thumbs.get(current).focus({ preventScroll: true });
  event.preventDefault();
});
gallery.hidden = false;
switchTo(0);
