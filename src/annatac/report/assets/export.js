// Pictures as files: always in the light colours, on white, as a paper needs them.
function lightColors() {
  const root = document.documentElement, before = root.dataset.theme;
  root.dataset.theme = "light";
  const style = getComputedStyle(root), colors = {};
  for (const name of ["novel", "muted", "line", "panel", "accent", "text", "soft", "heat", "onheat", ...Array.from({ length: 24 }, (_, i) => "t" + i)])
    colors[name] = style.getPropertyValue("--" + name).trim();
  if (before) root.dataset.theme = before; else delete root.dataset.theme;
  return colors;
}

function svgText(svg) {
  const colors = lightColors();
  const copy = svg.cloneNode(true);
  copy.removeAttribute("style");
  const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of [["width", "100%"], ["height", "100%"], ["fill", "#ffffff"]]) ground.setAttribute(name, value);
  copy.insertBefore(ground, copy.firstChild);
  for (const one of copy.querySelectorAll("*"))
    for (const name of ["fill", "stroke"]) {
      const value = one.getAttribute(name);
      if (!value) continue;
      if (value === "currentColor") one.setAttribute(name, colors.text);
      const variable = /^var\(--(\w+)\)$/.exec(value);
      if (variable) one.setAttribute(name, colors[variable[1]] || colors.text);
    }
  return new XMLSerializer().serializeToString(copy);
}

function download(blob, name) {
  const link = element("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function save(text, width, height, name, format) {
  const blob = new Blob([text], { type: "image/svg+xml;charset=utf-8" });
  if (format === "svg") return download(blob, name + ".svg");
  const image = new Image(), address = URL.createObjectURL(blob);
  image.onload = () => {
    const canvas = element("canvas"), scale = 3;
    canvas.width = width * scale;
    canvas.height = height * scale;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(address);
    canvas.toBlob((png) => download(png, name + ".png"), "image/png");
  };
  image.src = address;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest(".figure .export button");
  if (!button) return;
  const svg = button.closest(".figure").querySelector("svg"), box = svg.viewBox.baseVal;
  save(svgText(svg), box.width, box.height, button.parentElement.dataset.file, button.dataset.format);
});
