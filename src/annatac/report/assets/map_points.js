// The cells of the map: their places, their colours, and which one is near a place.
const SEQUENTIAL = [[68,1,84],[71,44,122],[59,81,139],[44,113,142],[33,144,141],[39,173,129],[92,200,99],[170,220,50],[253,231,37]];
const N_STEPS = 48;

function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// viridis, without the end that would drown in the page
function ramp(share, dark) {
  const at = (dark ? 0.22 + 0.78 * share : 0.9 * share) * (SEQUENTIAL.length - 1);
  const low = Math.min(Math.floor(at), SEQUENTIAL.length - 2), part = at - low;
  const mix = SEQUENTIAL[low].map((value, i) => Math.round(value + (SEQUENTIAL[low + 1][i] - value) * part));
  return "rgb(" + mix.join(",") + ")";
}

class Points {
  constructor(map) {
    this.n = map.n;
    this.x = unpacked(map.x);
    this.y = unpacked(map.y);
    this.names = map.names;
    this.values = {};
    for (const key of ["label", "confidence", "novelty", "sample", "truth"])
      if (map[key]) this.values[key] = unpacked(map[key]);
    this.xMax = this.x.reduce((a, b) => Math.max(a, b), 1);
    this.yMax = this.y.reduce((a, b) => Math.max(a, b), 1);
    this.order = this.shuffled();
    this.buckets();
  }

  // Drawn in a fixed random order, so that no type lies on top of another.
  shuffled() {
    const order = new Uint32Array(this.n);
    let state = 12345;
    for (let i = 0; i < this.n; i++) order[i] = i;
    for (let i = this.n - 1; i > 0; i--) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const j = state % (i + 1), kept = order[i];
      order[i] = order[j];
      order[j] = kept;
    }
    return order;
  }

  buckets() {
    this.side = 128;
    const start = new Uint32Array(this.side * this.side + 1), of = (i) => (this.y[i] >> 9) * this.side + (this.x[i] >> 9);
    for (let i = 0; i < this.n; i++) start[of(i) + 1]++;
    for (let b = 0; b < this.side * this.side; b++) start[b + 1] += start[b];
    const next = start.slice(), inside = new Uint32Array(this.n);
    for (let i = 0; i < this.n; i++) inside[next[of(i)]++] = i;
    this.start = start;
    this.inside = inside;
  }

  nearest(x, y, reach, allowed) {
    let best = -1, least = reach * reach;
    const low = (v) => Math.max(Math.floor((v - reach) / 512), 0), high = (v) => Math.min(Math.floor((v + reach) / 512), this.side - 1);
    for (let row = low(y); row <= high(y); row++)
      for (let column = low(x); column <= high(x); column++) {
        const b = row * this.side + column;
        for (let k = this.start[b]; k < this.start[b + 1]; k++) {
          const i = this.inside[k], far = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2;
          if (far < least && allowed(i)) { least = far; best = i; }
        }
      }
    return best;
  }

  listed(key) {
    return key === "label" ? DATA.types : key === "sample" ? DATA.samples : key === "truth" ? DATA.truths : null;
  }

  // The number of each true type's colour: that of the label of its name, else one of its own.
  colorName(key, code) {
    if (key === "label" && code === DATA.novel) return "--novel";
    if (key !== "truth") return "--t" + (code % 24);
    const same = DATA.types.indexOf(DATA.truths[code]);
    if (same >= 0) return "--t" + (same % 24);
    const unknown = DATA.truths.filter((name) => !DATA.types.includes(name));
    return "--t" + ((DATA.types.length + unknown.indexOf(DATA.truths[code])) % 24);
  }

  palette(key, dark, color) {
    const listed = this.listed(key);
    if (listed) return listed.map((_, code) => color(this.colorName(key, code)));
    return Array.from({ length: N_STEPS }, (_, i) => ramp(i / (N_STEPS - 1), dark));
  }

  colorOf(key) {
    const values = this.values[key];
    return this.listed(key) ? (i) => values[i] : (i) => Math.round(values[i] / 255 * (N_STEPS - 1));
  }

  counts(key) {
    const counts = new Array(this.listed(key).length).fill(0);
    for (const code of this.values[key]) counts[code]++;
    return counts;
  }

  // Where each name stands: the cell nearest to the median of its cells.
  middles(key) {
    const members = this.listed(key).map(() => []);
    this.values[key].forEach((code, i) => members[code].push(i));
    return members.map((cells) => {
      if (!cells.length) return null;
      const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
      const x = median(cells.map((i) => this.x[i])), y = median(cells.map((i) => this.y[i]));
      const near = cells.reduce((a, b) => ((this.x[a] - x) ** 2 + (this.y[a] - y) ** 2 <= (this.x[b] - x) ** 2 + (this.y[b] - y) ** 2 ? a : b));
      return [this.x[near], this.y[near]];
    });
  }
}
