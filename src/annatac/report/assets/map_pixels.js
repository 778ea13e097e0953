// Dots written straight into the pixels of a canvas: ten times as fast as drawing them one by one.
function rgb(color) {
  const numbers = /^#/.test(color) ? [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16)) : color.match(/\d+/g).map(Number);
  return numbers.slice(0, 3);
}

class Pixels {
  constructor(context, ground) {
    const { width, height } = context.canvas;
    this.width = width;
    this.height = height;
    this.image = context.createImageData(width, height);
    const [r, g, b] = rgb(ground);
    const one = new Uint8ClampedArray([r, g, b, 255]);
    new Uint32Array(this.image.data.buffer).fill(new Uint32Array(one.buffer)[0]);
    this.context = context;
  }

  // A dot as places around its middle and how much of each it covers.
  setDot(radius, opacity) {
    const reach = Math.ceil(radius + 0.5);
    this.reach = reach;
    this.offsets = [];
    this.cover = [];
    for (let dy = -reach; dy <= reach; dy++)
      for (let dx = -reach; dx <= reach; dx++) {
        const cover = Math.min(Math.max(radius + 0.5 - Math.hypot(dx, dy), 0), 1) * opacity;
        if (cover > 0.02) {
          this.offsets.push(4 * (dy * this.width + dx));
          this.cover.push(cover);
        }
      }
  }

  dot(x, y, color) {
    x = Math.round(x);
    y = Math.round(y);
    if (x < this.reach || y < this.reach || x >= this.width - this.reach || y >= this.height - this.reach) return;
    const data = this.image.data, middle = 4 * (y * this.width + x), [r, g, b] = color;
    for (let k = 0; k < this.offsets.length; k++) {
      const at = middle + this.offsets[k], cover = this.cover[k];
      data[at] += (r - data[at]) * cover;
      data[at + 1] += (g - data[at + 1]) * cover;
      data[at + 2] += (b - data[at + 2]) * cover;
    }
  }

  show() {
    this.context.putImageData(this.image, 0, 0);
  }
}
