// What the page was given: arrays as base64, names as texts.
const $ = (id) => document.getElementById(id);
const DATA = JSON.parse($("data").textContent);

function unpacked(packed) {
  const kind = Object.keys(packed)[0];
  const text = atob(packed[kind]);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  if (kind === "u8") return bytes;
  const view = new DataView(bytes.buffer); // little-endian, whatever the machine
  const values = new Uint16Array(bytes.length / 2);
  for (let i = 0; i < values.length; i++) values[i] = view.getUint16(2 * i, true);
  return values;
}

// An element with a text: texts are never read as HTML.
function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function cssColor(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
