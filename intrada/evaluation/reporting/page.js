"use strict";

// Tables: a button in each header sorts by its column. Numbers are compared as numbers; a dash sorts last.
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

// Theme: follows the system's setting until the button is pressed.
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

// Gallery: one large image and thumbnails of all images, which show the same layer (image, entropy, prediction...).
const { layers, images } = JSON.parse(document.getElementById("gallery-data").textContent);
const gallery = document.getElementById("gallery");
const large = document.getElementById("large");
const description = document.getElementById("description");
const thumbnails = document.getElementById("thumbnails");
const order = document.getElementById("order");
const layerButtons = [...document.querySelectorAll("#layers button")];
const thumbnailOf = new Map();
let sorted = [...images];
let current = images[0];
let layer = 0;

function setPicture(element, image) {
  const url = image.layers[layer];
  element.hidden = url === null;
  if (url !== null) element.src = url;
  element.classList.toggle("pixels", layers[layer].map);
}

function describe(image) {
  const position = `${sorted.indexOf(image) + 1} of ${sorted.length}`;
  const accuracy = Object.entries(image.models ?? {}).map(([name, value]) => `${name} ${value}`).join(", ");
  const missing = image.layers[layer] === null ? "; this image has no label" : "";
  return `${position}: ${image.name}, ${image.subset}, entropy ${image.entropy}` +
    `${accuracy ? `; pixel accuracy in percent: ${accuracy}` : ""}${missing}`;
}

function show() {
  setPicture(large, current);
  large.alt = `${layers[layer].name} of ${current.name}`;
  description.textContent = describe(current);
  layerButtons.forEach((button, number) => { button.ariaPressed = String(number === layer); });
  for (const [image, thumbnail] of thumbnailOf) {
    thumbnail.setAttribute("aria-current", String(image === current));
  }
}

function choose(image) {
  current = image;
  show();
  const thumbnail = thumbnailOf.get(image);
  const center = thumbnail.offsetLeft - thumbnails.offsetLeft + thumbnail.clientWidth / 2;
  thumbnails.scrollTo({ left: center - thumbnails.clientWidth / 2 });
}

function move(offset) {
  const index = sorted.indexOf(current) + offset;
  if (index >= 0 && index < sorted.length) choose(sorted[index]);
}

function showLayer(number) {
  layer = number;
  for (const [image, thumbnail] of thumbnailOf) setPicture(thumbnail.querySelector("img"), image);
  show();
}

function sortImages() {
  const [field, direction] = order.value.split(" ");
  const sign = direction === "up" ? 1 : -1;
  sorted = [...images].sort((a, b) => compare(a[field], b[field], sign));
  thumbnails.append(...sorted.map((image) => thumbnailOf.get(image).parentElement));
  choose(sorted[0]);
}

for (const image of images) {
  const item = document.createElement("li");
  const thumbnail = document.createElement("button");
  const picture = document.createElement("img");
  thumbnail.type = "button";
  picture.alt = image.name;
  thumbnail.append(picture, `${image.subset} ${image.entropy.toFixed(3)}`);
  thumbnail.addEventListener("click", () => choose(image));
  item.append(thumbnail);
  thumbnails.append(item);
  thumbnailOf.set(image, thumbnail);
}
layerButtons.forEach((button, number) => button.addEventListener("click", () => showLayer(number)));
document.getElementById("previous").addEventListener("click", () => move(-1));
document.getElementById("following").addEventListener("click", () => move(1));
order.addEventListener("change", sortImages);

document.addEventListener("keydown", (event) => {
  const focused = document.activeElement;
  const inGallery = focused === document.body || gallery.contains(focused);
  if (!inGallery || focused === order || event.ctrlKey || event.altKey || event.metaKey) return;
  const number = Number(event.key) - 1;
  if (event.key === "ArrowLeft") move(-1);
  else if (event.key === "ArrowRight") move(1);
  else if (event.key !== " " && number >= 0 && number < layers.length) showLayer(number);
  else return;
  if (thumbnails.contains(focused)) thumbnailOf.get(current).focus({ preventScroll: true });
  event.preventDefault();
});
gallery.hidden = false;
showLayer(0);
