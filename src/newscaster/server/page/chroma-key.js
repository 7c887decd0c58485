// A chroma key: what is green becomes transparent.

const FULL = 140; // of 255: from this difference between green and the other colours on, a pixel is background
const NONE = 20; // below it, all of the pixel is the person

// Makes pixels (RGBA) transparent by their excess of green, and takes that excess from what stays.
export function withoutGreen(data) {
  for (let i = 0; i < data.length; i += 4) {
    const others = Math.max(data[i], data[i + 2]);
    const excess = data[i + 1] - others;
    if (excess <= NONE) continue;
    data[i + 1] = others;
    data[i + 3] = Math.max(0, 255 - (255 * (excess - NONE)) / (FULL - NONE));
  }
}
