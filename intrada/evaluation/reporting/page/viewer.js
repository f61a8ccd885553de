// Viewer: one large image with a line that wipes between two pictures of it. Its data are the pictures of the page.
{
  const at = (id) => document.getElementById(id);
  const viewer = at("viewer"), stage = at("stage"), thumbnails = at("thumbnails"), order = at("order");
  const sides = { left: at("left"), right: at("right") };
  const wipe = at("wipe"), opacity = at("opacity");
  const number = (text) => (text === undefined ? null : Number(text));
  const images = [...document.querySelectorAll(".case")].map((element) => ({
    name: element.dataset.name, subset: element.dataset.subset, entropy: Number(element.dataset.entropy),
    accuracy: number(element.dataset.accuracy), gain: number(element.dataset.gain),
    about: element.querySelector("small").textContent.replace(/\s+/g, " "),
    layers: Object.fromEntries([...element.querySelectorAll("[data-layer]")].map((img) => [img.dataset.layer, img])),
    wrong: {},
  }));
  const legend = [...document.querySelectorAll(".classes-legend li")].map((item) => [item.dataset.color, item.textContent.trim()]);
  const nameOf = new Map(legend);
  const found = new Set(images.flatMap((image) => Object.keys(image.layers)));
  const models = [...found].filter((name) => !["image", "entropy", "label"].includes(name));
  const wrong = found.has("label") ? ["label", ...models.map((name) => `wrong ${name}`)] : [];
  const layers = ["image", "entropy", ...models, ...wrong];
  const thumbnailOf = new Map();
  let sorted = [...images];
  let current = images[0];
  const view = { zoom: 1, x: 0, y: 0 };

  const pixelsOf = (img) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [img.naturalWidth, img.naturalHeight];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(img, 0, 0);
    return context;
  };

  // The pixels where a model and the label differ, as a picture: red, or dark grey without a label.
  const wrongPixels = (image, model) => {
    if (image.wrong[model]) return image.wrong[model];
    const predicted = pixelsOf(image.layers[model]);
    const { width, height } = predicted.canvas;
    const truth = document.createElement("canvas").getContext("2d");
    [truth.canvas.width, truth.canvas.height] = [width, height];
    truth.imageSmoothingEnabled = false;
    truth.drawImage(image.layers.label, 0, 0, width, height);
    const a = predicted.getImageData(0, 0, width, height);
    const b = truth.getImageData(0, 0, width, height).data;
    for (let i = 0; i < b.length; i += 4) {
      const unknown = b[i] + b[i + 1] + b[i + 2] === 0;
      const same = a.data[i] === b[i] && a.data[i + 1] === b[i + 1] && a.data[i + 2] === b[i + 2];
      a.data.set(unknown ? [96, 100, 106, 255] : same ? [255, 255, 255, 170] : [214, 31, 60, 255], i);
    }
    predicted.putImageData(a, 0, 0);
    image.wrong[model] = predicted.canvas.toDataURL();
    return image.wrong[model];
  };

  const urlOf = (image, layer) => {
    if (!layer.startsWith("wrong ")) return image.layers[layer]?.src;
    return image.layers.label && wrongPixels(image, layer.slice(6));
  };

  const place = () => {
    for (const [name, value] of Object.entries({ zoom: view.zoom, x: `${view.x}px`, y: `${view.y}px`, wipe: `${wipe.value}%` })) {
      stage.style.setProperty(`--${name}`, value);
    }
    const photo = current.layers.image;
    const ratio = photo.naturalWidth / photo.naturalHeight || 2;
    stage.style.setProperty("--ratio", ratio);
    stage.style.setProperty("--width", `${Math.min(stage.clientWidth, stage.clientHeight * ratio)}px`);
    at("zoom").textContent = `${Math.round(100 * view.zoom)} %`;
  };

  const showSide = (side) => {
    const layer = sides[side].value;
    const plane = at(`side-${side}`).querySelector(".plane");
    const map = plane.querySelector("[data-part=map]");
    const url = layer === "image" ? undefined : urlOf(current, layer);
    plane.querySelector("[data-part=image]").src = current.layers.image.src;
    map.hidden = url === undefined;
    if (url) map.src = url;
    map.style.opacity = opacity.value / 100;
    map.classList.toggle("pixels", layer !== "entropy");
    const text = url || layer === "image" ? layer : `${layer}: none for this image`;
    stage.querySelector(`.tag.${side}`).textContent = text;
    plane.querySelector("[data-part=image]").alt = `${text} of ${current.name}`;
  };

  const show = () => {
    showSide("left");
    showSide("right");
    place();
    at("description").textContent = `${sorted.indexOf(current) + 1} of ${sorted.length}: ${current.name}, ${current.subset}, ${current.about}.`;
    at("pixel").textContent = "";
    for (const [image, button] of thumbnailOf) button.setAttribute("aria-current", String(image === current));
  };

  const choose = (image) => {
    current = image;
    show();
    const button = thumbnailOf.get(image);
    const center = button.offsetLeft - thumbnails.offsetLeft + button.clientWidth / 2;
    thumbnails.scrollTo({ left: center - thumbnails.clientWidth / 2 });
  };

  const move = (offset) => {
    const index = sorted.indexOf(current) + offset;
    if (index >= 0 && index < sorted.length) choose(sorted[index]);
  };

  const sortImages = () => {
    const [field, direction] = order.value.split(" ");
    sorted = [...images].sort((a, b) => compare(a[field], b[field], direction === "up" ? 1 : -1));
    thumbnails.append(...sorted.map((image) => thumbnailOf.get(image).parentElement));
    choose(sorted[0]);
  };

  const zoomBy = (factor) => {
    const zoom = Math.min(16, Math.max(1, view.zoom * factor));
    const ratio = zoom / view.zoom;
    Object.assign(view, zoom === 1 ? { zoom, x: 0, y: 0 } : { zoom, x: view.x * ratio, y: view.y * ratio });
    place();
  };

  const showPixel = (event) => {
    const box = at("side-left").querySelector(".plane").getBoundingClientRect();
    const [u, v] = [(event.clientX - box.x) / box.width, (event.clientY - box.y) / box.height];
    const inside = u >= 0 && u < 1 && v >= 0 && v < 1;
    const named = [...models, "label"].filter((layer) => inside && current.layers[layer]).map((layer) => {
      const img = current.layers[layer];
      current.read ??= {};
      current.read[layer] ??= pixelsOf(img);
      const [r, g, b] = current.read[layer].getImageData(Math.floor(u * img.naturalWidth), Math.floor(v * img.naturalHeight), 1, 1).data;
      return `${layer} ${nameOf.get([r, g, b].join(" ")) ?? "no label"}`;
    });
    at("pixel").textContent = named.length ? `Here: ${named.join(", ")}.` : "";
  };

  // A drag moves the line if it starts there, and the image if it is enlarged.
  stage.addEventListener("pointerdown", (event) => {
    const wipes = event.target.classList.contains("handle");
    const start = { x: event.clientX - view.x, y: event.clientY - view.y };
    const drag = (moved) => {
      const box = stage.getBoundingClientRect();
      if (wipes) wipe.value = (100 * (moved.clientX - box.x)) / box.width;
      else if (view.zoom > 1) Object.assign(view, { x: moved.clientX - start.x, y: moved.clientY - start.y });
      place();
    };
    const drop = () => stage.removeEventListener("pointermove", drag);
    stage.setPointerCapture(event.pointerId);
    stage.addEventListener("pointermove", drag);
    stage.addEventListener("pointerup", drop, { once: true });
    stage.addEventListener("pointercancel", drop, { once: true });
    event.preventDefault();
  });
  stage.addEventListener("pointermove", showPixel);

  document.addEventListener("keydown", (event) => {
    const focused = document.activeElement;
    const typing = ["SELECT", "INPUT"].includes(focused.tagName);
    if ((focused !== document.body && !viewer.contains(focused)) || typing || event.ctrlKey || event.altKey || event.metaKey) return;
    const digit = /^Digit([1-9])$/.exec(event.code);
    const layer = digit && layers[Number(digit[1]) - 1];
    if (event.key === "ArrowLeft") move(-1);
    else if (event.key === "ArrowRight") move(1);
    else if (event.key === "+") zoomBy(1.5);
    else if (event.key === "-") zoomBy(1 / 1.5);
    else if (layer) {
      const side = event.shiftKey ? "left" : "right";
      sides[side].value = layer;
      showSide(side);
    } else return;
    if (thumbnails.contains(focused)) thumbnailOf.get(current).focus({ preventScroll: true });
    event.preventDefault();
  });

  for (const image of images) {
    const item = document.createElement("li"), button = document.createElement("button"), picture = document.createElement("img");
    button.type = "button";
    picture.src = image.layers.image.src;
    picture.alt = image.name;
    button.append(picture, `${image.subset} ${image.entropy.toFixed(3)}`);
    button.addEventListener("click", () => choose(image));
    item.append(button);
    thumbnails.append(item);
    thumbnailOf.set(image, button);
  }
  for (const [side, select] of Object.entries(sides)) {
    layers.forEach((layer, index) => select.append(new Option(index < 9 ? `${index + 1} ${layer}` : layer, layer)));
    select.value = models[side === "left" ? 0 : models.length - 1];
    select.addEventListener("change", () => showSide(side));
  }
  at("previous").addEventListener("click", () => move(-1));
  at("following").addEventListener("click", () => move(1));
  at("zoom-in").addEventListener("click", () => zoomBy(1.5));
  at("zoom-out").addEventListener("click", () => zoomBy(1 / 1.5));
  order.addEventListener("change", sortImages);
  wipe.addEventListener("input", place);
  opacity.addEventListener("input", show);
  addEventListener("resize", place);
  for (const more of document.querySelectorAll(".more")) more.hidden = true;
  viewer.hidden = false;
  sortImages();
}
