// The map: drawn on a canvas, moved by mouse, touch and keys, saved as SVG or PNG.
(function () {
  if (!DATA.map) return;
  const points = new Points(DATA.map), canvas = $("map-canvas"), context = canvas.getContext("2d");
  const tip = $("map-tip"), legend = $("map-legend"), pointers = new Map();
  let key = "label", chosen = -1, zoom = 1, shift = [0, 0], hovered = -1, waiting = false, middles = points.middles("label");
  let width = 1, height = 1, moved = 0, pinch = 0;

  const unit = () => Math.min((width - 36) / points.xMax, (height - 36) / points.yMax);
  const toX = (x) => (x - points.xMax / 2) * unit() * zoom + width / 2 + shift[0];
  const toY = (y) => (points.yMax / 2 - y) * unit() * zoom + height / 2 + shift[1];
  const fromX = (px) => (px - width / 2 - shift[0]) / (unit() * zoom) + points.xMax / 2;
  const fromY = (py) => points.yMax / 2 - (py - height / 2 - shift[1]) / (unit() * zoom);
  const radius = () => Math.max(0.8, Math.min(3.4, 90 / Math.sqrt(points.n))) * Math.min(Math.pow(zoom, 0.4), 3);
  const shows = (i) => chosen < 0 || points.values[key][i] === chosen;

  function draw() {
    waiting = false;
    if (width < 1 || height < 1) return; // not laid out: a canvas of no size cannot be drawn
    const ratio = Math.min(window.devicePixelRatio || 1, 2), r = radius();
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pixels = new Pixels(context, cssColor("--panel"));
    const colors = points.palette(key, isDark(), cssColor).map(rgb), faint = rgb(cssColor("--line"));
    const colorOf = points.colorOf(key), scale = unit() * zoom * ratio, x0 = toX(0) * ratio, y0 = toY(0) * ratio;
    pixels.setDot(r * ratio, points.n > 20000 ? 0.75 : 0.88);
    for (const pass of chosen < 0 ? [true] : [false, true])
      for (const i of points.order)
        if (shows(i) === pass) pixels.dot(points.x[i] * scale + x0, y0 - points.y[i] * scale, pass ? colors[colorOf(i)] : faint);
    pixels.show();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if ($("map-names").checked && points.listed(key) && key !== "sample") drawNames();
    if (hovered >= 0) {
      context.strokeStyle = cssColor("--text");
      context.lineWidth = 2;
      context.beginPath();
      context.arc(toX(points.x[hovered]), toY(points.y[hovered]), r + 3, 0, 7);
      context.stroke();
    }
  }

  // Names that would cover one already written are left out, the largest types first.
  function placedNames(measure) {
    const counts = points.counts(key), placed = [];
    const order = counts.map((_, code) => code).filter((code) => counts[code] && (chosen < 0 || code === chosen));
    order.sort((a, b) => counts[b] - counts[a]);
    for (const code of order) {
      if (key === "label" && code === DATA.novel && chosen < 0) continue;
      const name = points.listed(key)[code], x = toX(middles[code][0]), y = toY(middles[code][1]), half = measure(name) / 2 + 2;
      const free = [0, -15, 15, -30, 30].find((dy) => !placed.some((p) => Math.abs(p.x - x) < p.half + half && Math.abs(p.y - y - dy) < 15));
      if (free !== undefined) placed.push({ name, x, y: y + free, half });
    }
    return placed;
  }

  function drawNames() {
    context.font = "600 13px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 4;
    context.strokeStyle = cssColor("--panel");
    context.fillStyle = cssColor("--text");
    for (const { name, x, y } of placedNames((text) => context.measureText(text).width)) {
      context.strokeText(name, x, y);
      context.fillText(name, x, y);
    }
  }

  function redraw() {
    if (!waiting) { waiting = true; requestAnimationFrame(draw); }
  }

  function writeLegend() {
    legend.replaceChildren();
    const listed = points.listed(key);
    if (!listed) {
      const bar = element("div", undefined, "ramp"), ends = element("div", undefined, "ends");
      bar.style.background = "linear-gradient(90deg," + [0, 0.25, 0.5, 0.75, 1].map((v) => ramp(v, isDark())).join(",") + ")";
      ends.append(element("span", "0"), element("span", key), element("span", "1"));
      legend.append(bar, ends);
      return;
    }
    points.counts(key).forEach((n, code) => {
      if (!n) return;
      const button = element("button"), dot = element("i", undefined, "dot");
      dot.style.background = "var(" + points.colorName(key, code) + ")";
      button.type = "button";
      button.setAttribute("aria-pressed", String(code === chosen));
      button.append(dot, element("span", listed[code]), element("small", n.toLocaleString("en")));
      button.addEventListener("click", () => {
        chosen = chosen === code ? -1 : code;
        legend.querySelectorAll("button").forEach((one) => one.setAttribute("aria-pressed", String(one === button && chosen >= 0)));
        redraw();
      });
      legend.append(button);
    });
  }

  function setZoom(next, px, py) {
    next = Math.min(Math.max(next, 1), 80);
    shift = [px - width / 2 - (px - width / 2 - shift[0]) * next / zoom, py - height / 2 - (py - height / 2 - shift[1]) * next / zoom];
    zoom = next;
    keepInside();
  }

  function keepInside() {
    if (zoom === 1) shift = [0, 0];
    const reach = [points.xMax, points.yMax].map((most) => most * unit() * zoom / 2);
    shift = shift.map((value, i) => Math.min(Math.max(value, -reach[i]), reach[i]));
    canvas.classList.toggle("near", zoom > 1);
    redraw();
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  function hover(px, py) {
    const found = points.nearest(fromX(px), fromY(py), 9 / (unit() * zoom), shows);
    if (found !== hovered) { hovered = found; redraw(); }
    tip.hidden = found < 0;
    if (found < 0) return;
    const value = (name) => points.values[name] && points.values[name][found];
    const lines = [DATA.types[value("label")], "confidence " + (value("confidence") / 255).toFixed(2)];
    if (points.values.novelty) lines[1] += ", novelty " + (value("novelty") / 255).toFixed(2);
    if (points.values.sample) lines.push(DATA.sampleKey + ": " + DATA.samples[value("sample")]);
    if (points.values.truth) lines.push("true type: " + DATA.truths[value("truth")]);
    lines.push(points.names[found]);
    tip.replaceChildren(...lines.map((line, i) => element(i ? "div" : "b", line)));
    const left = px + 14 + tip.offsetWidth > width ? px - tip.offsetWidth - 12 : px + 14;
    tip.style.left = Math.max(left, 2) + "px";
    tip.style.top = Math.max(Math.min(py + 12, height - tip.offsetHeight - 4), 2) + "px";
  }

  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, place(event));
    moved = 0;
    pinch = 0;
    if (event.pointerType === "mouse" || zoom > 1) canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [px, py] = place(event), before = pointers.get(event.pointerId);
    if (!before) return hover(px, py);
    pointers.set(event.pointerId, [px, py]);
    if (pointers.size === 2) {
      const [a, b] = [...pointers.values()], far = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (pinch) setZoom(zoom * far / pinch, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
      pinch = far;
    } else if (zoom > 1) {
      shift = [shift[0] + px - before[0], shift[1] + py - before[1]];
      keepInside();
    }
    moved += Math.abs(px - before[0]) + Math.abs(py - before[1]);
    canvas.classList.add("moving");
    tip.hidden = true;
  });
  for (const name of ["pointerup", "pointercancel"])
    canvas.addEventListener(name, (event) => {
      pointers.delete(event.pointerId);
      pinch = 0;
      canvas.classList.remove("moving");
      if (name === "pointerup" && moved < 6) hover(...place(event));
    });
  canvas.addEventListener("pointerleave", () => { hovered = -1; tip.hidden = true; redraw(); });
  canvas.addEventListener("wheel", (event) => {
    if (zoom === 1 && event.deltaY > 0) return; // the whole map is shown: the page scrolls on
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 18 : 1;
    setZoom(zoom * Math.exp(-event.deltaY * lines * 0.0018), ...place(event));
    tip.hidden = true;
  }, { passive: false });
  const whole = () => { zoom = 1; keepInside(); };
  const byStep = (factor) => setZoom(zoom * factor, width / 2, height / 2);
  canvas.addEventListener("dblclick", whole);
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (steps[event.key] && zoom > 1) shift = shift.map((value, i) => value + steps[event.key][i]);
    else if (event.key === "+" || event.key === "=") byStep(1.4);
    else if (event.key === "-") byStep(1 / 1.4);
    else if (event.key === "0") zoom = 1;
    else return;
    event.preventDefault();
    keepInside();
  });
  $("map-in").addEventListener("click", () => byStep(1.5));
  $("map-out").addEventListener("click", () => byStep(1 / 1.5));
  $("map-reset").addEventListener("click", whole);
  $("map-names").addEventListener("change", redraw);
  $("map-colour").addEventListener("change", (event) => {
    key = event.target.value;
    chosen = -1;
    if (points.listed(key)) middles = points.middles(key);
    writeLegend();
    redraw();
  });
  document.addEventListener("colours", () => { writeLegend(); redraw(); });

  function svgOfMap(side) {
    const colors = lightColors(), fill = points.palette(key, false, (name) => colors[name.slice(2)]);
    const safe = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
    const colorOf = points.colorOf(key), r = radius().toFixed(2), groups = fill.map(() => []), faint = [];
    for (const i of points.order) {
      const x = toX(points.x[i]), y = toY(points.y[i]);
      if (x < 0 || y < 0 || x > width || y > height) continue;
      (shows(i) ? groups[colorOf(i)] : faint).push(`M${x.toFixed(1)} ${y.toFixed(1)}h0`);
    }
    const path = (parts, color) => parts.length ? `<path d="${parts.join("")}" stroke="${color}" stroke-width="${2 * r}" stroke-linecap="round" fill="none"/>` : "";
    let text = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width + side} ${height}" width="${width + side}" height="${height}" font-family="system-ui, Helvetica, Arial, sans-serif" font-size="12"><rect width="100%" height="100%" fill="#ffffff"/>`;
    text += path(faint, colors.line) + groups.map((parts, code) => path(parts, fill[code])).join("");
    text += `<text x="10" y="${height - 10}" fill="${colors.muted}">UMAP 1 →, UMAP 2 ↑</text>`;
    const listed = points.listed(key);
    if (listed && key !== "sample" && $("map-names").checked) {
      context.font = "600 13px system-ui, sans-serif";
      for (const { name, x, y } of placedNames((one) => context.measureText(one).width))
        text += `<text x="${x.toFixed(1)}" y="${(y + 4).toFixed(1)}" text-anchor="middle" font-size="13" font-weight="600" stroke="#ffffff" stroke-width="4" stroke-linejoin="round" paint-order="stroke">${safe(name)}</text>`;
    }
    let y = 22;
    if (listed) points.counts(key).forEach((n, code) => {
      if (!n) return;
      text += `<circle cx="${width + 14}" cy="${y - 4}" r="5" fill="${fill[code]}"/><text x="${width + 26}" y="${y}">${safe(listed[code])} (${n.toLocaleString("en")})</text>`;
      y += 19;
    });
    else {
      text += `<text x="${width + 8}" y="${y}">${key}</text>`;
      fill.forEach((color, i) => { text += `<rect x="${width + 8}" y="${y + 10 + i * 3}" width="16" height="3.2" fill="${fill[fill.length - 1 - i]}"/>`; });
      text += `<text x="${width + 30}" y="${y + 20}">1</text><text x="${width + 30}" y="${y + 10 + fill.length * 3}">0</text>`;
    }
    return text + "</svg>";
  }

  $("map-export").addEventListener("click", (event) => {
    const format = event.target.dataset.format, side = 210;
    if (format) save(svgOfMap(side), width + side, height, "umap_" + key, format);
  });
  new ResizeObserver(() => {
    width = canvas.clientWidth;
    height = canvas.clientHeight;
    keepInside();
  }).observe(canvas);
  writeLegend();
})();
